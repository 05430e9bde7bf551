"""`python -m tests.security.control PORT`: the least that can answer `/healthz`, to see how slow the machine itself is.

An asyncio server in a process of its own that has nothing else to do. What it takes to answer is what a process waits
for a core at that moment, however good the engine is.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator

from tests.engine import free_port

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
            await writer.drain()


async def serve(port: int) -> None:
    async with await asyncio.start_server(answer, "127.0.0.1", port) as server:
        print("ready", flush=True)
        await server.serve_forever()


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The URL of one; it ends with the block."""
    port = free_port()
    command = [sys.executable, "-m", "tests.security.control", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1])))
