"""Which addresses may be reached: endpoints are what users ask for, and inside the network are things that trust it.

It decides when a socket is made, on the address that is connected to: what a name means may change after any earlier look.
"""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address that a gateway translates to."""
METADATA = frozenset({ip_address("168.63.129.16")})
"""Of clouds, where they lie among public addresses (Azure's); the others are link-local or private."""


class AddressRefused(OSError):
    """The name leads to an address that is not allowed."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def meant(text: str) -> IPv4Address | IPv6Address:
    """The address that is really reached: IPv6 has several forms that hold one of IPv4."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        if address in NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        return inner or address
    return address


def is_public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved and address not in METADATA


class Guard:
    """Makes sockets for aiohttp (`socket_factory`).

    `allowed` are networks that may be reached though they are not public; `public`: whether all others may.
    """

    def __init__(self, allowed: Sequence[str], *, public: bool) -> None:
        self._allowed = [ip_network(network) for network in allowed]
        self._public = public

    def lets(self, text: str) -> bool:
        address = meant(text)
        return any(address in network for network in self._allowed) or self._public and is_public(address)

    def socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Raises `AddressRefused`."""
        family, kind, protocol, _, address = info
        if not self.lets(address[0]):
            raise AddressRefused
        return socket.socket(family=family, type=kind, proto=protocol)
