"""The AsyncAPI document of the sockets (version 3.0.0 of its specification), made of the structs that are sent."""

from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpRequest, JsonResponse

from orders.events import DATA_OF, AcceptData
from orders.http.answers import QuotesOut
from orders.lifecycle import Status
from orders.plans.representation import PlanEventOut, PlanOut
from orders.representation import EventOut, OrderOut
from orders.streams.connection import BUSY, DONE, NOT_FOUND, RESTART, TOO_MANY, TOO_SLOW, UNAUTHENTICATED

Schema = dict[str, Any]
REF = "#/components/schemas/{name}"
CLOSE_CODES = {
    DONE: "the order is final",
    RESTART: "the engine restarts: connect again",
    BUSY: "this process has no room: connect again",
    UNAUTHENTICATED: "no key, a wrong one, or one that has ended",
    NOT_FOUND: "unknown, or not yours",
    TOO_SLOW: "you read too slowly: connect again with `after` or `since`",
    TOO_MANY: "too many sockets, or too much from you",
}
BEARER = {"type": "httpApiKey", "name": "Authorization", "in": "header", "description": "`Bearer <key>`"}
TICKET = {
    "type": "httpApiKey",
    "name": "ticket",
    "in": "query",
    "description": "One use, thirty seconds: POST /api/ws-ticket",
}
PARAMETERS = {
    "orderId": {"description": "Of the order, as placing it answered"},
    "planId": {"description": "Of the plan"},
    "pair": {"description": "`SOL-USDC`: symbols in any case, or mints"},
}
AFTER: Schema = {
    "type": "object",
    "properties": {"after": {"type": "integer", "minimum": 0, "description": "The last seq that you have seen"}},
}
SINCE: Schema = {
    "type": "object",
    "properties": {
        "since": {
            "type": "string",
            "format": "date-time",
            "description": "`at` of the last event that you have seen: what happened since comes first, and some of it again",
        }
    },
}
QUERIES = {"order": AFTER, "orders": SINCE, "plan": AFTER}
CHANNELS: dict[str, tuple[str, str, list[str]]] = {
    "order": ("/ws/{orderId}", "One order: a snapshot, then every event, then close 1000.", ["orderSnapshot", "event"]),
    "orders": ("/ws/orders", "Every event of every order of the account.", ["ordersSnapshot", "event"]),
    "plan": (
        "/ws/plans/{planId}",
        "One plan: a snapshot, then every step, then close 1000.",
        ["planSnapshot", "planEvent"],
    ),
    "quotes": ("/ws/quotes/{pair}", "All venues' prices of a pair, at every poll.", ["quotes"]),
}
"""Address, what it streams, the messages that come."""


DATA: tuple[type[msgspec.Struct], ...] = (AcceptData, *dict.fromkeys(DATA_OF.values()))
"""What the `data` of an event may be; `routing` says what fired the order, which SQL alone writes."""


def fixed(kind: str) -> Schema:
    return {"type": "string", "const": kind}


def closed(properties: Schema) -> Schema:
    """An object that has all of these."""
    return {"type": "object", "required": list(properties), "properties": properties}


def message_schemas() -> dict[str, Schema]:
    """The schema of each message, by its name. They refer to the document's components."""
    event, order = {"$ref": REF.format(name="EventOut")}, {"$ref": REF.format(name="OrderOut")}
    status = {"type": "string", "enum": [status.value for status in Status]}
    of_order = {
        "orderId": {"type": "string", "format": "uuid"},
        "seq": {"type": "integer", "minimum": 1},
        "status": status,
    }
    plan, plan_event = {"$ref": REF.format(name="PlanOut")}, {"$ref": REF.format(name="PlanEventOut")}
    of_plan = {"planId": of_order["orderId"], "seq": of_order["seq"], "status": {"type": "string"}}
    datas = [{"$ref": REF.format(name=data.__name__)} for data in DATA]
    return {
        "orderSnapshot": closed(
            {"type": fixed("snapshot"), **of_order, "order": order, "events": {"type": "array", "items": event}}
        ),
        "ordersSnapshot": closed({"type": fixed("snapshot"), "orders": {"type": "array", "items": order}}),
        "event": closed(
            {
                "type": fixed("event"),
                **of_order,
                "at": {"type": "string", "format": "date-time"},
                "data": {"anyOf": [*datas, {"type": "object"}]},
            }
        ),
        "planSnapshot": closed(
            {"type": fixed("snapshot"), **of_plan, "plan": plan, "events": {"type": "array", "items": plan_event}}
        ),
        "planEvent": {"allOf": [closed({"type": fixed("event"), "planId": of_plan["planId"]}), plan_event]},
        "quotes": {"allOf": [closed({"type": fixed("quotes")}), {"$ref": REF.format(name=QuotesOut.__name__)}]},
    }


def document(version: str) -> Schema:
    """The whole document as JSON."""
    structs = [OrderOut, EventOut, PlanOut, PlanEventOut, QuotesOut, *DATA]
    _, components = msgspec.json.schema_components(structs, ref_template=REF)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "orderengine: streams",
            "version": version,
            "description": "Sockets end with a code: "
            + "; ".join(f"{code} {why}" for code, why in CLOSE_CODES.items()),
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(name) for name in CHANNELS},
        "operations": {
            f"receive_{name}": {"action": "receive", "channel": {"$ref": f"#/channels/{name}"}} for name in CHANNELS
        },
        "components": {
            "schemas": components,
            "messages": {
                name: {"name": name, "payload": {"schemaFormat": "application/schema+json", "schema": schema}}
                for name, schema in message_schemas().items()
            },
            "securitySchemes": {"bearer": BEARER, "ticket": TICKET},
        },
    }


def _channel(name: str) -> Schema:
    address, description, messages = CHANNELS[name]
    channel: Schema = {
        "address": address,
        "description": description,
        "messages": {each: {"$ref": f"#/components/messages/{each}"} for each in messages},
        "parameters": {key: value for key, value in PARAMETERS.items() if f"{{{key}}}" in address},
    }
    if name in QUERIES:
        channel["bindings"] = {"ws": {"query": QUERIES[name], "bindingVersion": "0.1.0"}}
    return channel


def view(request: HttpRequest) -> JsonResponse:
    """`GET /api/asyncapi`: for anybody, as the OpenAPI document is."""
    return JsonResponse(document(str(settings.SPECTACULAR_SETTINGS["VERSION"])))
