"""JSON bodies, read strictly into structs: what one client means must be what the engine understands.

Beyond msgspec's own checks: a key that stands twice is refused (RFC 8259 section 4 leaves its meaning open), and a number
in a string follows JSON's grammar (Python's `Decimal` also reads `1_000`, full-width digits and surrounding spaces).
"""

import json
import re
from decimal import Decimal, DecimalException
from typing import Any, TypeVar

import msgspec

from orders.errors import ApiError, invalid
from orders.expected import words_for

Parsed = TypeVar("Parsed", bound=msgspec.Struct)

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
"""RFC 8259 section 6; used with `fullmatch`."""
MAX_MESSAGE = 300
"""Characters; msgspec's messages repeat the value that was sent."""
MAX_WHOLE_DIGITS = 18
"""A larger whole number stands nowhere in a body, and 64 bits hold no more."""
FIELD = re.compile(r"`\$\.?([\w.\[\]]+)")
MISSING = re.compile(r"(?:missing required|unknown) field `(\w+)`")
HALF_PAIR = re.compile("[\ud800-\udfff]")

# Floats keep the digits they were written with.
decode = msgspec.json.Decoder(float_hook=Decimal).decode


class RepeatedKey(ValueError):
    """A key stands twice in an object."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class Reader:
    """Reads bodies of one struct type, whose Decimal and int fields it learns from the type."""

    def __init__(self, kind: type[Parsed]) -> None:
        self._kind = kind
        self._decimals, self._wholes, self._inner = numbers_of(kind)

    def read(self, body: bytes) -> Any:
        """An instance of the struct. Raises `ApiError`: INVALID_JSON, VALIDATION_FAILED."""
        try:
            found = decode(body)
            check_repeated(body, found)
            if isinstance(found, dict):
                self._check_numbers(found)
            return msgspec.convert(found, self._kind)
        except msgspec.ValidationError as error:
            raise validation_error(error, self._kind) from None
        except RepeatedKey as error:
            raise invalid(error.key[:MAX_MESSAGE], "stands twice in an object") from None
        except DecimalException:
            raise invalid("body", "holds a number beyond all bounds") from None
        except OverflowError as error:  # A moment whose UTC form lies outside the calendar.
            raise invalid("expiresAt", str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise not_json(body, error) from None

    def _check_numbers(self, found: dict[str, Any], path: str = "") -> None:
        """Refuses texts that are no JSON numbers; makes integral floats (`50.0`) the integers that they mean."""
        for name in self._decimals:
            value = found.get(name)
            if isinstance(value, str) and not NUMBER.fullmatch(value):
                raise invalid(path + name, "must be a number, written as JSON writes numbers")
        for name in self._wholes:
            value = found.get(name)
            if isinstance(value, Decimal):
                # By its exponent first: arithmetic on a number of a million digits fails, or takes its time.
                if value.adjusted() > MAX_WHOLE_DIGITS or value != value.to_integral_value():
                    raise invalid(path + name, "must be a whole number")
                found[name] = int(value)
        for name, reader in self._inner.items():
            inner = found.get(name)
            if isinstance(inner, dict):
                reader._check_numbers(inner, f"{path}{name}.")
            elif isinstance(inner, list):
                for n, each in enumerate(inner):
                    if isinstance(each, dict):
                        reader._check_numbers(each, f"{path}{name}[{n}].")


def numbers_of(kind: type[msgspec.Struct]) -> tuple[frozenset[str], frozenset[str], dict[str, Reader]]:
    """Names, as JSON has them, of the Decimal fields, of the int fields, and of the fields that are structs."""
    decimals, wholes, inner = set(), set(), {}
    info: Any = msgspec.inspect.type_info(kind)
    for field in info.fields:
        options = getattr(field.type, "types", (field.type,))
        for option in options:
            if isinstance(option, msgspec.inspect.DecimalType):
                decimals.add(field.encode_name)
            elif isinstance(option, msgspec.inspect.IntType):
                wholes.add(field.encode_name)
            elif isinstance(option, msgspec.inspect.StructType):
                inner[field.encode_name] = Reader(option.cls)
            elif isinstance(option, msgspec.inspect.VarTupleType) and isinstance(
                option.item_type, msgspec.inspect.StructType
            ):
                inner[field.encode_name] = Reader(option.item_type.cls)
    return frozenset(decimals), frozenset(wholes), inner


def check_repeated(body: bytes, found: Any) -> None:
    """Raises `RepeatedKey`.

    A key costs one colon outside of strings, so their number shows whether a key was dropped; counting them costs a fraction of
    a second reading. Escapes may hide a colon: then the body is read again.
    """
    if b"\\" in body or body.count(b":") != colons(found):
        json.loads(body, object_pairs_hook=unique, parse_float=str, parse_int=str)


def colons(found: Any) -> int:
    if isinstance(found, str):
        return found.count(":")
    if isinstance(found, dict):
        return sum(1 + key.count(":") + colons(value) for key, value in found.items())
    return sum(map(colons, found)) if isinstance(found, list) else 0


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise RepeatedKey(key)
        found[key] = value
    return found


def not_json(body: bytes, error: Exception) -> ApiError:
    """Names a lone surrogate, for which msgspec has the words of a truncated body."""
    try:
        lone = HALF_PAIR.search(json.dumps(json.loads(body, parse_float=str, parse_int=str), ensure_ascii=False))
    except (ValueError, RecursionError):
        lone = None
    if lone:
        why = f"a string holds half of a surrogate pair, \\u{ord(lone.group()):04x}, which is no character"
        return ApiError("INVALID_JSON", f"The body is not JSON: {why}.")
    return ApiError("INVALID_JSON", f"The body is not JSON: {error}")


def validation_error(error: msgspec.ValidationError, kind: type[msgspec.Struct] | None = None) -> ApiError:
    """msgspec's message, with the field it speaks of; of what is read as `kind` also what might stand there."""
    text = str(error).replace("got `decimal`", "got `number`")
    missing = MISSING.search(text)
    where = FIELD.search(text)
    # Of an inner object that lacks something, or has too much, the object is wrong.
    field = where.group(1) if where else missing.group(1) if missing else "body"
    message = text.rpartition(" - at ")[0] or text
    words = words_for(kind, where.group(1) if where else "", message) if kind is not None else None
    return invalid(field, words or message[:MAX_MESSAGE])
