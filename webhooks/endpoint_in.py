"""Endpoints as clients write them."""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from orders.errors import invalid
from orders.json_in import Reader
from webhooks.guard import Guard
from webhooks.models import MAX_URL
from webhooks.types import TYPES, unknown

MAX_OVERLAP_S = 7 * 86_400
DEFAULT_OVERLAP_S = 86_400
Url = Annotated[str, msgspec.Meta(min_length=8, max_length=MAX_URL)]
Types = Annotated[
    list[Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(TYPES)})]], msgspec.Meta(min_length=1)
]
Description = Annotated[str, msgspec.Meta(max_length=200)]


class WebhookIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    url: Url
    types: Types | UnsetType = UNSET
    """Of events; by default what ends, and alerts."""
    description: Description = ""
    all_accounts: bool = False
    """Staff only."""


class WebhookAmendIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    url: Url | UnsetType = UNSET
    types: Types | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class RotateIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    overlap_seconds: Annotated[int, msgspec.Meta(ge=0, le=MAX_OVERLAP_S)] = DEFAULT_OVERLAP_S
    """For so long the secret of before signs as well."""


class ReplayIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    from_: Annotated[datetime, msgspec.Meta(tz=True)] = msgspec.field(name="from")
    to: Annotated[datetime, msgspec.Meta(tz=True)] | UnsetType = UNSET
    """By default now."""


webhook_reader, amend_reader = Reader(WebhookIn), Reader(WebhookAmendIn)
rotate_reader, replay_reader = Reader(RotateIn), Reader(ReplayIn)


def checked_url(url: str, allowed: Sequence[str]) -> str:
    """`allowed`: networks that may be reached though they are not public, by plain HTTP, too. Where a name leads is decided at
    every connection; an address that stands in the URL is refused here, so that nobody waits for what never comes.

    Raises `ApiError`: VALIDATION_FAILED.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known or not url.isascii() or not url.isprintable() or " " in url:
        raise invalid("url", "must be an https:// URL, in ASCII")
    if parts.username is not None or parts.password is not None:
        raise invalid("url", "must hold no user name or password: deliveries are signed")
    if parts.fragment:
        raise invalid("url", "must have no fragment")
    if parts.scheme == "http" and not allowed:
        raise invalid("url", "must begin with https://; plain HTTP goes to WEBHOOK_ALLOWED_NETWORKS only")
    if is_address(host := str(parts.hostname)) and not Guard(allowed, public=parts.scheme == "https").lets(host):
        raise invalid("url", f"leads to {host}, which is not reached: neither public nor in WEBHOOK_ALLOWED_NETWORKS")
    return url


def is_address(host: str) -> bool:
    try:
        return bool(ip_address(host.partition("%")[0]))
    except ValueError:
        return False


def checked_types(types: list[str]) -> list[str]:
    """Raises `ApiError`: VALIDATION_FAILED."""
    if wrong := unknown(types):
        raise invalid("types", f"{wrong[0][:40]!r} is no type of event; {', '.join(TYPES)} are")
    return sorted(set(types), key=TYPES.index)
