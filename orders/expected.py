"""What may stand at a place in a body, for whoever sent something else there: msgspec's own messages do not name it."""

import re
from typing import Any

import msgspec
from msgspec import inspect

STEP = re.compile(r"(\w+)|\[[^\]]*\]")
UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
MAX_NAME = 100
"""Characters of a name that was sent."""


def words_for(kind: type[msgspec.Struct], path: str, message: str) -> str | None:
    """`path`: of the wrong value, as msgspec writes it behind `$.`; '' is the body. None where its message says enough."""
    found = at_path(inspect.type_info(kind), path)
    if message.startswith("Invalid enum value") and (values := sorted(allowed(found))):
        return f"must be one of {', '.join(values)}"
    unknown = UNKNOWN.match(message)
    if unknown and (names := sorted(field.encode_name for one in found for field in getattr(one, "fields", ()))):
        return f"unknown field `{unknown[1][:MAX_NAME]}`; known: {', '.join(names)}"
    return None


def at_path(kind: inspect.Type, path: str) -> list[Any]:
    """The types that a value at the path may have."""
    found = options(kind)
    for step in STEP.finditer(path):
        found = [inner for one in found for inner in options(below(one, step[1]))]
    return found


def options(kind: Any) -> list[Any]:
    """The types of a union, whatever bounds stand around them; none of None."""
    if isinstance(kind, inspect.Metadata):
        return options(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [inner for one in kind.types for inner in options(one)]
    return [] if kind is None else [kind]


def below(kind: Any, name: str | None) -> Any:
    """The type of a struct's field, without a name of an array's items; None where there is no such thing."""
    if name is None:
        return getattr(kind, "item_type", None)
    return next((field.type for field in getattr(kind, "fields", ()) if field.encode_name == name), None)


def allowed(kinds: list[Any]) -> list[str]:
    found: list[str] = []
    for kind in kinds:
        if isinstance(kind, inspect.LiteralType):
            found += map(str, kind.values)
        elif isinstance(kind, inspect.EnumType):
            found += [str(member.value) for member in kind.cls]
    return found
