"""The documents' tables come from results, so what makes them must not go wrong unseen."""

import asyncio

import pytest

from benchmarks import capacity, report
from benchmarks.connections import TEXT, HttpConnection, WebSocket
from benchmarks.figures import Figure, number, percentile
from benchmarks.watching import Watch, Watches


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True


def figure(name: str, value: float, **target: float) -> Figure:
    return Figure(name, name, value, "ms", **target)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (3519.6, "3,520"), (99.94, "99.9"), (1.204, "1.20"), (0.01234, "0.0123"), (5, "5"), (12000.0, "12,000")],
)
def test_numbers_keep_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown


def test_percentiles_are_nearest_rank() -> None:
    assert [percentile(range(1, 201), p) for p in (50, 99, 100)] == [100, 198, 200]


def test_targets_are_judged_from_both_sides() -> None:
    assert figure("a", 3000, at_least=3000).met and not figure("a", 2999, at_least=3000).met
    assert figure("a", 15, at_most=15).met and not figure("a", 15.1, at_most=15).met
    assert figure("a", 1).met is None


def test_the_capacity_line_predicts_what_it_was_not_fitted_to() -> None:
    """100 ms a second fixed and 0.5 ms an order: 0.85 cores at 1,500/s."""
    figures = {
        f"growth.1x1.{rate}.cpu.web": figure("", 0.5 + 100 / rate) for rate in (*capacity.FITTED, capacity.CHECKED)
    }
    fitted = capacity.line(figures, "cpu.web")
    assert fitted is not None
    assert (fitted.at(1500), fitted.most(1)) == pytest.approx((0.85, 1500))
    assert capacity.line({}, "cpu.web") is None


def test_a_marked_table_is_replaced_and_the_rest_stays() -> None:
    text = "before\n<!-- figures promised -->\nold\n<!-- end -->\nafter\n"
    new = report.filled(text, {"drain.rate": figure("drain.rate", 3456, at_least=3000)})
    assert new.startswith("before\n<!-- figures promised -->\n| figure") and new.endswith("<!-- end -->\nafter\n")
    assert "3,456" in new and "old" not in new
    assert report.filled(new, {}).count("3,456") == 0


def test_every_marked_table_of_the_documents_is_known_and_up_to_date() -> None:
    for name in report.DOCUMENTS:
        file = report.ROOT / name
        for _, table in [
            (found[1], found[2]) for found in report.MARKED.finditer(file.read_text() if file.exists() else "")
        ]:
            assert table in report.TABLES
    assert report.stale() == {}


def test_an_answer_in_pieces_is_one_answer() -> None:
    answers: list[tuple[int, bytes]] = []
    connection = HttpConnection(lambda _, status, body: answers.append((status, body)))
    for piece in (b"HTTP/1.1 503 Un", b"available\r\ncontent-length: 4\r\n", b"\r\nab", b"cd"):
        assert not answers
        connection.data_received(piece)
    assert answers == [(503, b"abcd")]


def test_frames_are_put_together_and_pings_answered() -> None:
    said: list[bytes] = []
    codes: list[int] = []
    transport = Transport()
    socket = WebSocket(b"GET", lambda text, _: said.append(text), codes.append)
    socket.connection_made(transport)  # type: ignore[arg-type]
    long = b"x" * 300
    stream = b"HTTP/1.1 101 Switching\r\n\r\n" + bytes([TEXT, 2]) + b"hi" + bytes([0x89, 1]) + b"p"
    stream += bytes([TEXT, 126]) + (300).to_bytes(2) + long + bytes([0x88, 2]) + (1000).to_bytes(2)
    for byte in stream:
        socket.data_received(bytes([byte]))
    socket.connection_lost(None)
    assert said == [b"hi", long] and codes == [1000] and transport.closed
    assert transport.written[1] == bytes([0x8A, 0x81, 0, 0, 0, 0]) + b"p"


@pytest.mark.parametrize(
    ("seqs", "code", "complete"),
    [
        ((2, 3, 4, 5), 1000, 1),
        ((2, 4, 5), 1000, 0),
        ((2, 3, 3, 4, 5), 1000, 0),
        ((2, 3), 1000, 0),
        ((2, 3, 4, 5), 1012, 0),
    ],
)
async def test_a_stream_with_a_gap_a_double_or_no_end_is_broken(
    seqs: tuple[int, ...], code: int, complete: int
) -> None:
    watches = Watches("", 0, None)
    watches.started = 1
    watch = Watch(watches, "1")
    watch.said(b'{"type":"snapshot","seq":1,"status":"pending","events":[{"seq":1}]}', 0)
    for seq in seqs:
        status = "confirmed" if seq == 5 else "building"
        watch.said(f'{{"type":"event","seq":{seq},"status":"{status}","at":"2026-01-01T00:00:00Z"}}'.encode(), 0)
    watch.ended(code)
    await asyncio.sleep(0)
    assert (watches.complete, watches.broken) == (complete, 1 - complete)
