"""Which addresses count as one client, wherever clients are counted. Pure."""

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address

NETWORK_BITS = 64
"""Of IPv6: a provider gives each customer at least this network, so one client has all of its addresses."""


@lru_cache(maxsize=4096)
def client_network(address: str) -> str | None:
    """An IPv4 address as it is, of an IPv6 address its network (`2001:db8:1:2::/64`); None for any other text."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(IPv6Network((int(found), NETWORK_BITS), strict=False))
