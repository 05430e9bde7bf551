"""Its part of the OpenAPI document."""

from typing import Any

import msgspec

from books.answers import DOCUMENTED
from orders.http.openapi import openapi_30


def add_books(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's post-processing hook."""
    _, components = msgspec.json.schema_components(DOCUMENTED, ref_template="#/components/schemas/{name}")
    result["components"]["schemas"] |= {name: openapi_30(each) for name, each in components.items()}
    return result
