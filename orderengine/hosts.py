"""The names under which the engine may be reached where ALLOWED_HOSTS does not say."""

import socket

LOCAL = ("localhost", "127.0.0.1", "[::1]")
WILDCARDS = ("0.0.0.0", "::")  # nosec B104
ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses of documentation (RFC 5737, RFC 3849): the route there gives our own address. Nothing is sent."""


def bracketed(host: str) -> str:
    """As Host headers have it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def own_addresses() -> list[str]:
    """The addresses from which this machine reaches others; none where it has no route."""
    found = []
    for family, there in ELSEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((there, 9))
                found.append(str(probe.getsockname()[0]).partition("%")[0])
        except OSError:
            continue
    return found


def names(host: str, *, local: bool) -> list[str]:
    """For a bind address. A wildcard answers to this machine's name and addresses; no name is looked up."""
    if local:
        return [*LOCAL]
    if host in WILDCARDS:
        return [*LOCAL, *dict.fromkeys([socket.gethostname().lower(), *map(bracketed, own_addresses())])]
    return [bracketed(host)]
