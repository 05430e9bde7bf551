"""JSON Schema as msgspec writes it, in the words of OpenAPI 3.0."""

from typing import Any

import pytest

from orders.http.openapi import DECIMAL, add_intake, openapi_30


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, {"type": "string"}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string", "nullable": True}),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            {"type": "string", "nullable": True},
        ),
        (
            {"anyOf": [{"$ref": "#/x"}, {"type": "null"}]},
            {"anyOf": [{"$ref": "#/x"}], "nullable": True},
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        ),
        ({"type": "string", "format": "decimal"}, DECIMAL),
        ({"type": "integer", "default": 50}, {"type": "integer", "default": 50}),
        (
            {"properties": {"a": {"type": "string", "format": "decimal"}}},
            {"properties": {"a": DECIMAL}},
        ),
        ([{"type": "string", "format": "decimal"}], [DECIMAL]),
        ("text", "text"),
    ],
)
def test_a_schema_is_translated(schema: Any, expected: Any) -> None:
    assert openapi_30(schema) == expected


def test_both_intake_endpoints_are_in_the_document() -> None:
    document = add_intake({"paths": {}}, None, None, True)

    assert set(document["paths"]) == {"/api/orders/execute", "/api/orders/batch"}
    order = document["components"]["schemas"]["OrderIn"]
    assert order["required"] == ["tokenIn", "tokenOut"], "one of amount and amountOut, which the intake says"
    assert order["additionalProperties"] is False
    assert "null" not in str(order).replace("nullable", "")
