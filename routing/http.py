"""JSON-RPC for threads that ask now and then, and what every client of a server raises. Answers are bounded in time and size,
TLS is verified, no redirect is followed. Coroutines ask by `routing.solana.http`.
"""

from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

MAX_BYTES = 64 * 1024 * 1024
"""Of an answer: the accounts of all pools of a program."""


class NoAnswer(Exception):
    """No usable answer: what was asked may have happened or not."""


class TimedOut(NoAnswer):
    """None within the time."""


class RpcError(Exception):
    """A node's own answer is an error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


def host_of(url: str) -> str:
    """For people and logs: the address may hold a key, the host does not."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return "?"


class _Fault(msgspec.Struct):
    code: int
    message: str
    data: Any = None


class _Reply(msgspec.Struct):
    result: Any = None
    error: _Fault | None = None


def rpc(url: str, method: str, *params: Any, timeout_s: float, type_: Any = Any) -> Any:
    """The result of one JSON-RPC call. Blocks; for threads that ask now and then. Raises `RpcError`, `NoAnswer`."""
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    status, body = post(url, msgspec.json.encode(call), timeout_s=timeout_s)
    try:
        reply = msgspec.json.decode(body, type=_Reply)
        if reply.error is None and status == 200:
            return msgspec.convert(reply.result, type_)
    except msgspec.DecodeError:
        raise NoAnswer(f"{host_of(url)}: HTTP {status}, and no answer of a node") from None
    if reply.error is None:
        raise NoAnswer(f"{host_of(url)}: HTTP {status}")
    raise RpcError(reply.error.code, reply.error.message, reply.error.data)


def post(url: str, body: bytes, *, timeout_s: float) -> tuple[int, bytes]:
    """(status, body) of a POST of JSON. Blocks. Raises `NoAnswer`."""
    headers = {"Content-Type": "application/json"}
    try:
        # A node beside us needs no certificates; loading them takes longer than the call.
        verify = url.startswith("https:")
        with (
            httpx.Client(timeout=timeout_s, verify=verify, trust_env=False) as client,
            client.stream("POST", url, content=body, headers=headers) as response,
        ):
            parts, size = list[bytes](), 0
            for part in response.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > MAX_BYTES:
                    raise NoAnswer(f"{host_of(url)}: an answer of more than {MAX_BYTES} bytes")
            return response.status_code, b"".join(parts)
    except httpx.TimeoutException:
        raise TimedOut(f"{host_of(url)}: no answer within {timeout_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        said = (
            "no address of a server" if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol) else str(error)
        )
        raise NoAnswer(f"{host_of(url)}: {said or type(error).__name__}") from None
