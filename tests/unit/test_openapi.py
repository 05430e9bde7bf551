"""The OpenAPI document is complete: every reference leads somewhere."""

import re

import yaml
from django.test import RequestFactory

from orders.http.openapi import SchemaView


def test_every_reference_resolves() -> None:
    response = SchemaView.as_view()(RequestFactory().get("/api/schema", {"format": "json"}))
    response.render()
    document = yaml.safe_load(response.content)
    text = response.content.decode()
    asked = set(re.findall(r'"\$ref": ?"([^"]+)"', text))
    assert asked and asked <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert {"401", "403"} <= set(operation["responses"]) or "security" not in operation, (method, path)
