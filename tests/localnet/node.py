"""A localnet of a test's own, as a process."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from orderengine.host.processes import BASE_DIR

START_S = 60


class Localnet:
    """`slot_ms` 0: blocks come by `tick` alone."""

    def __init__(self, folder: Path | None = None, *, slot_ms: int = 0, **options: str) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="orderengine-localnet-"))
        self._options = ["--slot-ms", str(slot_ms)]
        for name, value in options.items():
            self._options += [f"--{name.replace('_', '-')}", *([value] if value else [])]
        self.addresses: dict[str, Any] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._http: httpx.Client | None = None

    def start(self) -> "Localnet":
        info = self.folder / "info.json"
        info.unlink(missing_ok=True)
        command = [sys.executable, "-m", "localnet", str(self.folder / "chain"), "--info", str(info), *self._options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=BASE_DIR, env=dict(os.environ), stdout=log, stderr=log)
        ends = time.monotonic() + START_S
        while not info.exists():
            assert time.monotonic() < ends and self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.02)
        self.addresses = json.loads(info.read_text())
        return self

    def stop(self, signum: int = signal.SIGTERM) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signum)
            self.process.wait(30)

    def _post(self, url: str, body: Any) -> httpx.Response:
        # Loading certificates takes longer than a call.
        self._http = self._http or httpx.Client(timeout=60, verify=False, trust_env=False)  # noqa: S501
        return self._http.post(url, json=body)

    def rpc(self, method: str, *params: Any) -> Any:
        """The result; the error where it is one."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._post(self.addresses["rpcUrl"], body).json()
        return answer["result"] if "result" in answer else answer["error"]

    def control(self, name: str, **body: Any) -> Any:
        answer = self._post(f"{self.addresses['controlUrl']}/{name}", body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def tick(self, blocks: int = 1) -> Any:
        return self.control("tick", blocks=blocks)


@contextmanager
def running(**options: Any) -> Iterator[Localnet]:
    """A localnet with these options of `Localnet`; its folder goes with it."""
    made = Localnet(**options)
    try:
        yield made.start()
    finally:
        made.stop()
        shutil.rmtree(made.folder, ignore_errors=True)
