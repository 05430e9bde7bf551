"""What leaves the engine for a tracker of errors: no secret, in errors and in transactions."""

import gzip
import http.server
import json
import subprocess
import sys
import threading
from typing import Any

SECRET = "oe_" + "s" * 43
# A process of its own: the tracker's client patches the interpreter for good.
SENDER = """
import sys, sentry_sdk
from orderengine import tracing
dsn, secret = sys.argv[1:]
tracing.start_sentry(dsn, environment="test", sample_rate=1.0, hot_sample_rate=1.0)
with sentry_sdk.start_transaction(op="http.server", name=f"GET /ws/orders?ticket={secret}") as transaction:
    transaction.set_data("authorization", f"Bearer {secret}")
    with sentry_sdk.start_span(op="http.client", name=f"GET http://user:{secret}@127.0.0.1/?ticket={secret}"):
        sentry_sdk.capture_exception(ValueError(f"refused: Bearer {secret}"))
sentry_sdk.flush(timeout=30)
"""


class Tracker(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent, as text."""

    said: list[str] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.said.append((gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_no_secret_is_in_an_error_or_a_transaction() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tracker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        dsn = f"http://key@127.0.0.1:{server.server_port}/1"
        done = subprocess.run(
            [sys.executable, "-c", SENDER, dsn, SECRET], capture_output=True, text=True, timeout=120, check=False
        )
        server.shutdown()
    assert done.returncode == 0, done.stderr
    lines = [line for text in Tracker.said for line in text.splitlines() if line.startswith('{"type":')]
    assert {"event", "transaction"} <= {json.loads(line)["type"] for line in lines}, Tracker.said
    assert not [text for text in Tracker.said if SECRET in text]
