"""What a request costs before the engine does anything: an ASGI callable that answers at once, under the same server and client.

Accepting an order cannot cost the web process less than this.
"""

import os
import subprocess
from typing import Any

import msgspec

from benchmarks.consumption import cpu_s
from benchmarks.engines import MARKET, finished, generate
from benchmarks.figures import Figure, percentile
from benchmarks.generator import Spec
from orderengine.host.listening import bound
from orderengine.host.processes import web
from tests.engine import BASE_DIR

ANSWER = b'{"orderId":"00000000-0000-0000-0000-000000000000","status":"pending"}'


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Reads the body and answers."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


def run(quick: bool) -> list[Figure]:
    with bound("127.0.0.1", 0) as listener:
        public = listener.public
        command = web(f"--fd={public.fileno()}", "--app=benchmarks.floor:application", "--lifespan=off")
        server = subprocess.Popen(command, cwd=BASE_DIR, pass_fds=[public.fileno()], env=dict(os.environ))
        try:
            spec = Spec(mode="closed", port=public.getsockname()[1], body=MARKET, seconds=3 if quick else 10)
            finished(generate(msgspec.structs.replace(spec, seconds=1)))
            before = cpu_s(server.pid)
            result = finished(generate(spec))
            cpu = cpu_s(server.pid) - before
        finally:
            server.terminate()
            server.wait()
    return [
        Figure("floor.rate", "empty ASGI callable, 50 connections", result["ok"] / result["seconds"], "requests/s"),
        Figure("floor.web_ms", "its CPU", cpu * 1000 / result["ok"], "ms/request"),
        Figure("floor.client_ms", "the client's", result["load_cpu_s"] * 1000 / result["ok"], "ms/request"),
        Figure("floor.p99", "its p99", percentile(result["latencies_ms"], 99), "ms"),
    ]
