"""What leaves the engine for a tracker of errors: no secret, in errors and in transactions."""

import gzip
import json
import subprocess
import sys

from tests.serving import Asked, Said, serving

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


def test_no_secret_is_in_an_error_or_a_transaction() -> None:
    said: list[str] = []

    def keep(asked: Asked) -> Said:
        said.append((gzip.decompress(asked.body) if asked.body[:2] == b"\x1f\x8b" else asked.body).decode())
        return Said()

    with serving(keep) as url:
        command = [sys.executable, "-c", SENDER, url.replace("//", "//key@") + "/1", SECRET]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for text in said for line in text.splitlines() if line.startswith('{"type":')]
    assert {"event", "transaction"} <= {json.loads(line)["type"] for line in lines}, said
    assert not [text for text in said if SECRET in text]
