"""Answers of any length in constant memory: rows go from a cursor of the server to the client, a piece at a time.

The first piece is read before the answer begins, so that what goes wrong until then is an ordinary error. An answer that ends
early is cut off by the server without its last chunk: clients see that it is not complete.
"""

import asyncio
import csv
import io
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
from django.http import StreamingHttpResponse

from orders.errors import ApiError
from orders.representation import Out

Row = TypeVar("Row", bound=Out)

MAX_AT_ONCE = 2
"""In a process: each holds a connection, and its rows are made beside the orders that come in."""
AGAIN_S = 5
CHAIN_FEES = ("network", "priority", "tip", "rent")
"""All in SOL."""
FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""How formulas begin, or what a spreadsheet strips before one (OWASP, "CSV Injection"); the last four are full-width."""
NUMBER = re.compile(r"-\d+(\.\d+)?", re.ASCII)
encode = msgspec.json.Encoder().encode
slots = threading.BoundedSemaphore(MAX_AT_ONCE)


class Export:
    """An iterator of pieces, read in a thread of its own; ended by `close`, which may be called again."""

    def __init__(self, pieces: Callable[[], Iterator[bytes]]) -> None:
        """Raises `ApiError` UNAVAILABLE while others are running, and what `pieces` raises for the first one."""
        if not slots.acquire(blocking=False):
            said = f"{MAX_AT_ONCE} exports are running in this process; `manage.py export` needs no turn."
            raise ApiError("UNAVAILABLE", said, retry_after_s=AGAIN_S)
        self._thread = ThreadPoolExecutor(1, "export")
        self._pieces = pieces()
        self._closed = False
        try:
            self._first: bytes | None = self._thread.submit(next, self._pieces, b"").result()
        except BaseException:
            self.close()
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        try:
            piece = self._first
            while piece:
                yield piece
                piece = await loop.run_in_executor(self._thread, next, self._pieces, b"")
        finally:
            self.close()

    def close(self) -> None:
        """After the piece that is being read. Waits for nothing."""
        if not self._closed:
            self._closed = True
            self._thread.submit(self._end)
            self._thread.shutdown(wait=False)

    def _end(self) -> None:
        try:
            self._pieces.close()  # type: ignore[attr-defined]
        finally:
            slots.release()


def streamed(pieces: Callable[[], Iterator[bytes]], content_type: str, name: str) -> StreamingHttpResponse:
    export = Export(pieces)
    answer = StreamingHttpResponse(export, content_type=content_type)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "no-store"
    answer._resource_closers.append(export.close)  # type: ignore[attr-defined]
    return answer


def ndjson(batches: Iterable[Iterable[Any]]) -> Iterator[bytes]:
    """One JSON object a line; a piece for each batch."""
    for batch in batches:
        yield b"".join(encode(row) + b"\n" for row in batch)


def csv_of(kind: type[Row], batches: Iterable[Iterable[Row]]) -> Iterator[bytes]:
    """RFC 4180, UTF-8, with a header. Fees have columns by kind, those of the chain in SOL; parts of a split are one, as JSON.
    What a spreadsheet would take for a formula has an apostrophe before it."""
    names = [name for name in kind.__struct_encode_fields__ if name != "fees"]
    chain = [f"{fee}Fee" for fee in CHAIN_FEES]
    yield table([[*names, "venueFee", "venueFeeToken", *chain]])
    own = [field for field in kind.__struct_fields__ if field != "fees"]
    for batch in batches:
        yield table([*(as_text(getattr(row, field)) for field in own), *fee_columns(row)] for row in batch)


def as_text(value: Any) -> Any:
    """Text that a spreadsheet would calculate begins with an apostrophe, which it does not show; numbers stay numbers."""
    if isinstance(value, str) and value.startswith(FORMULA) and not NUMBER.fullmatch(value):
        return f"'{value}"
    return encode(value).decode() if isinstance(value, list) else value


def fee_columns(row: Any) -> list[str]:
    """Pools of a split take their fees in two tokens: both stand there, with a space between."""
    amounts = {fee.kind: fee.amount for fee in row.fees}
    venue = [(fee.amount, fee.token) for fee in row.fees if fee.kind == "venue"]
    columns = [" ".join(each) for each in zip(*venue, strict=True)] or ["", ""]
    return [*columns, *(amounts.get(kind, "") for kind in CHAIN_FEES)]


def table(rows: Iterable[Iterable[Any]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()
