"""The OpenAPI document: what DRF's views say of themselves, and the two endpoints that stand beside Django."""

from typing import Any

import msgspec
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from orders.http.answers import DOCUMENTED, AcceptedOut, BatchOut, ErrorOut, schema
from orders.http.risk import LimitsIn, StateIn
from orders.order_in import OrderIn
from orders.plans.plan_in import BracketIn, PlanAmendIn, ScheduleIn
from orders.plans.representation import PlanEventsOut, PlanOut, PlansOut
from orders.token_in import TokenIn

KEY_HEADER = {
    "in": "header",
    "name": "Idempotency-Key",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    "description": "The same key and body again: the first order again, with `Idempotency-Replayed: true`.",
}
DECIMAL = {"oneOf": [{"type": "string"}, {"type": "number"}]}


class SchemaView(SpectacularAPIView):
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []


class DocsView(SpectacularSwaggerSplitView):
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    url_name = "schema"


def add_intake(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's post-processing hook."""
    _, components = msgspec.json.schema_components(
        [
            *(OrderIn, BracketIn, ScheduleIn, PlanAmendIn, LimitsIn, StateIn, TokenIn),
            *(PlanOut, PlansOut, PlanEventsOut, *DOCUMENTED),
        ],
        ref_template="#/components/schemas/{name}",
    )
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas.update({name: openapi_30(schema) for name, schema in components.items()})
    schemas["PlanIn"] = {"oneOf": [{"$ref": f"#/components/schemas/{kind}"} for kind in ("BracketIn", "ScheduleIn")]}
    order = {"$ref": "#/components/schemas/OrderIn"}
    many = {
        "type": "object",
        "required": ["orders"],
        "additionalProperties": False,
        "properties": {"orders": {"type": "array", "minItems": 1, "maxItems": 100, "items": order}},
    }
    result["paths"]["/api/orders/execute"] = {
        "post": operation(
            "orders_execute",
            "Takes an order.",
            order,
            schema(AcceptedOut),
            (400, 401, 403, 409, 413, 415, 422, 429, 503),
        )
    }
    result["paths"]["/api/orders/batch"] = {
        "post": operation(
            "orders_batch",
            "Takes up to 100 orders; each succeeds or fails by itself.",
            many,
            schema(BatchOut),
            (400, 401, 403, 413, 415, 429, 503),
        )
    }
    return result


def operation(name: str, summary: str, body: Any, answer: Any, errors: tuple[int, ...]) -> dict[str, Any]:
    error = {
        "content": {"application/json": {"schema": schema(ErrorOut)}},
        "description": "error",
    }
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["orders"],
        "parameters": [KEY_HEADER],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {"description": "accepted", "content": {"application/json": {"schema": answer}}},
            **{str(status): error for status in errors},
        },
        "security": [{"bearer": []}, {}],
    }


def openapi_30(schema: Any) -> Any:
    """JSON Schema as OpenAPI 3.0 has it: null is `nullable`, decimals are strings or numbers."""
    if isinstance(schema, list):
        return [openapi_30(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        return DECIMAL
    schema = {name: openapi_30(value) for name, value in schema.items() if (name, value) != ("required", [])}
    if "anyOf" in schema and {"type": "null"} in schema["anyOf"]:
        rest = [item for item in schema.pop("anyOf") if item != {"type": "null"}]
        only = rest[0] if len(rest) == 1 and "$ref" not in rest[0] else {"anyOf": rest}
        schema = {**only, **schema, "nullable": True}
        if schema.get("default", ...) is None:
            del schema["default"]
    return schema
