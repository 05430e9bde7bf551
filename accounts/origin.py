"""Where a browser's request comes from, and who may go without a key: one rule for REST, the intake and sockets.

Browsers send cookies, and reach a loopback address, on behalf of any page. What identifies a page of ours is the `Origin` header
(RFC 6454), which scripts on the page cannot forge.
"""

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host

from accounts.auth import is_loopback

DEFAULT_PORTS = {"http": 80, "https": 443}


def is_secure(scheme: str, headers: dict[bytes, bytes]) -> bool:
    """Whether the client speaks TLS, here or, as the setting HTTPS says, with the proxy in front."""
    return scheme in ("https", "wss") or settings.HTTPS and headers.get(b"x-forwarded-proto") == b"https"


def is_own_origin(origin: str, host: str, *, secure: bool) -> bool:
    """Whether scheme, host and port of the `Origin` header are those of the address the request was sent to.

    `null` (sandboxed frames, `data:` pages, local files) and whatever cannot be parsed is not.
    """
    scheme, colon, address = origin.partition("://")
    wanted = "https" if secure else "http"
    if not colon or scheme != wanted:
        return False
    theirs = endpoint(address, wanted)
    return theirs is not None and theirs == endpoint(host, wanted)


@lru_cache(maxsize=1024)
def endpoint(address: str, scheme: str) -> tuple[str, int] | None:
    """Host and port of `host[:port]`; None for what is anything else."""
    try:
        parts = urlsplit(f"{scheme}://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.netloc != address or "@" in address:
        return None
    return host, DEFAULT_PORTS[scheme] if port is None else port


def may_use_cookie(origin: str | None, host: str, *, secure: bool) -> bool:
    """For requests that change something and for sockets, where an own page always sends its origin."""
    return origin is not None and is_own_origin(origin, host, secure=secure)


def may_go_keyless(origin: str | None, host: str, *, secure: bool) -> bool:
    """Whether local mode's account may be used: this machine's own name, and no page of another origin.

    Whether the engine is in local mode is the `KeyRing`'s to say.
    """
    return is_loopback(host) and (origin is None or is_own_origin(origin, host, secure=secure))


@lru_cache(maxsize=1024)
def is_allowed_host(host: str) -> bool:
    """By ALLOWED_HOSTS, as Django reads it."""
    found = endpoint(host, "http")
    if found is None:
        return False
    name = f"[{found[0]}]" if ":" in found[0] else found[0]
    return validate_host(name, settings.ALLOWED_HOSTS)


def allowed_name(patterns: Iterable[str]) -> str:
    """A host name that ALLOWED_HOSTS lets pass."""
    first = next(iter(patterns), "*")
    return "localhost" if first == "*" else first.removeprefix(".")
