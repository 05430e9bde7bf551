"""What is written in a turn of the loop is sent in one go."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from orderengine.host.server.transport import MAX_GATHERED, Gathering


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.sent: list[bytes] = []
        self.closed = False
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.sent.append(b"after the end" if self.ended else bytes(data))

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
async def wire() -> AsyncIterator[tuple[Wire, Gathering]]:
    made = Wire()
    yield made, Gathering(made, asyncio.get_running_loop())


async def test_head_and_body_leave_together(wire: tuple[Wire, Gathering]) -> None:
    sent, transport = wire
    for n in (b"1", b"2"):
        transport.write(b"head" + n)
        transport.write(b"body" + n)
        assert len(sent.sent) == int(n) - 1
        await asyncio.sleep(0)
    assert sent.sent == [b"head1body1", b"head2body2"]


async def test_a_long_answer_does_not_gather_in_memory(wire: tuple[Wire, Gathering]) -> None:
    sent, transport = wire
    chunk = b"x" * (MAX_GATHERED // 2 + 1)
    for _ in range(10):
        transport.write(chunk)
    assert len(sent.sent) == 5, "a sender that never lets the loop turn is held back by the transport as ever"


async def test_what_was_written_before_the_close_is_sent(wire: tuple[Wire, Gathering]) -> None:
    sent, transport = wire
    transport.write(b"last")
    transport.close()
    assert sent.sent == [b"last"] and sent.closed


async def test_nothing_is_written_to_a_client_that_is_gone(wire: tuple[Wire, Gathering]) -> None:
    sent, transport = wire
    transport.write(b"late")
    sent.closed = True
    await asyncio.sleep(0)
    assert sent.sent == []


async def test_nothing_is_written_after_the_end_of_what_was_to_be_sent(wire: tuple[Wire, Gathering]) -> None:
    sent, transport = wire
    transport.write(b"last")
    transport.write_eof()
    transport.write(b"late")
    await asyncio.sleep(0)
    assert sent.sent == [b"last"] and sent.ended


async def test_everything_else_is_the_transports_own(wire: tuple[Wire, Gathering]) -> None:
    _, transport = wire
    assert transport.get_extra_info("peername") == ("127.0.0.1", 1)
