"""How connections are counted: in all, by address, with proxies exempt."""

import asyncio

import pytest

from orderengine.host.server.bounds import Bounds, Connections, address_of


class Open:
    def check_deadlines(self, now: float) -> None:
        pass


class Wire:
    def __init__(self, peer: object) -> None:
        self.peer = peer

    def get_extra_info(self, name: str) -> object:
        assert name == "peername"
        return self.peer


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("192.0.2.7", 1), "192.0.2.7"),
        (("::ffff:192.0.2.7", 1, 0, 0), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 1, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
        ("", ""),
        (None, ""),
    ],
)
def test_the_address_that_is_counted(peer: object, address: str) -> None:
    assert address_of(Wire(peer)) == address


async def test_connections_are_bounded_by_address_and_in_all() -> None:
    loop = asyncio.get_running_loop()
    connections = Connections(Bounds(max_connections=5, max_connections_per_address=2))
    first = Open()
    assert connections.admit(first, "192.0.2.1", loop)
    assert connections.admit(Open(), "192.0.2.1", loop)
    assert not connections.admit(Open(), "192.0.2.1", loop)
    assert [connections.admit(Open(), f"192.0.2.{n}", loop) for n in (2, 3, 4, 5)] == [True, True, True, False]
    connections.release(first)
    connections.release(first)
    assert len(connections) == 4
    assert connections.admit(Open(), "192.0.2.1", loop)


async def test_a_connection_that_changes_its_protocol_is_counted_once() -> None:
    loop = asyncio.get_running_loop()
    connections = Connections(Bounds(max_connections_per_address=1))
    http, websocket = Open(), Open()
    assert connections.admit(http, "192.0.2.1", loop)
    connections.replace(http, websocket)
    connections.release(http)
    assert not connections.admit(Open(), "192.0.2.1", loop)
    connections.release(websocket)
    assert connections.admit(Open(), "192.0.2.1", loop)


@pytest.mark.parametrize(
    ("proxies", "exempt"),
    [
        ((), False),
        (("192.0.2.1",), True),
        (("192.0.0.0/16",), True),
        (("10.0.0.0/8", "2001:db8::/32"), False),
        (("*",), True),
    ],
)
async def test_a_proxy_is_not_bounded_by_address(proxies: tuple[str, ...], exempt: bool) -> None:
    loop = asyncio.get_running_loop()
    connections = Connections(Bounds(max_connections=3, max_connections_per_address=1, proxies=proxies))
    assert connections.admit(Open(), "192.0.2.1", loop)
    assert connections.admit(Open(), "192.0.2.1", loop) is exempt
    while connections.admit(Open(), "192.0.2.9", loop):
        pass
    assert not connections.admit(Open(), "192.0.2.1", loop), "the cap in all holds for proxies, too"
