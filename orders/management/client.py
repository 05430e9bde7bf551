"""The engine as commands see it: REST and WebSocket, here or far away. Nothing is read behind its back.

Exit codes: 0 done, 1 the order did not end confirmed, 2 wrong use or refused, 3 the engine cannot be reached.
"""

import json
import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.core.management import BaseCommand, CommandError
from rich.console import Console
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import connect

from orders.lifecycle import FINAL

NOT_CONFIRMED, REFUSED, UNREACHABLE = 1, 2, 3
TIMEOUT_S = 10.0
RETRY_S = 1.0
GIVE_UP_S = 60.0
"""How long a watched stream may be away before the command ends."""
UNAUTHENTICATED, NOT_FOUND = 4401, 4404


class Client:
    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        # A proxy of the environment is for elsewhere: it does not reach this machine's loopback.
        elsewhere = urlsplit(self.url).hostname not in ("127.0.0.1", "localhost", "::1")
        self._http = httpx.Client(base_url=self.url, headers=self._headers, timeout=TIMEOUT_S, trust_env=elsewhere)

    def call(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> Any:
        """The answer's JSON. Raises `CommandError` with the exit code that fits."""
        try:
            answer = self._http.request(method, path, headers=headers, **options)
        except httpx.HTTPError as error:
            raise CommandError(f"{self.url} cannot be reached: {error}", returncode=UNREACHABLE) from None
        try:
            body = answer.json()
        except ValueError:
            raise CommandError(f"{self.url} is no orderengine ({answer.status_code})", returncode=UNREACHABLE) from None
        if answer.is_success:
            return body
        said = body.get("error", {})
        code = UNREACHABLE if answer.status_code >= 500 else REFUSED
        raise CommandError(f"{said.get('code', answer.status_code)}: {said.get('message', '')}", returncode=code)

    def stream(self, path: str) -> Iterator[dict[str, Any]]:
        """A socket's messages; comes back when it is cut off, and goes on after the last seq of an order's stream."""
        after, away_since = 0, None
        while True:
            try:
                with connect(f"{self._socket_base()}{path}?after={after}", additional_headers=self._headers) as socket:
                    away_since = None
                    for text in socket:
                        message = json.loads(text)
                        after = message.get("seq", after)
                        yield message
                return
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else None
                if code == UNAUTHENTICATED:
                    raise CommandError("UNAUTHENTICATED: send a valid --key", returncode=REFUSED) from None
                if code == NOT_FOUND:
                    raise CommandError("NOT_FOUND: nothing is streamed under this name", returncode=REFUSED) from None
            except (OSError, TimeoutError, InvalidStatus, WebSocketException):
                pass
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > GIVE_UP_S:
                raise CommandError(f"{self.url} has been away for a minute; orders go on", returncode=UNREACHABLE)
            time.sleep(RETRY_S)

    def _socket_base(self) -> str:
        parts = urlsplit(self.url)
        return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{parts.path}"


def local_key(name: str) -> str | None:
    """The key of an engine that runs from this folder."""
    try:
        return str(json.loads((settings.DATA_DIR / "credentials.json").read_text())[name])
    except (OSError, ValueError, KeyError):
        return None


class EngineCommand(BaseCommand):
    """With `--url`, `--key` and `--json`; `self.client` speaks with the engine, `self.console` to people."""

    requires_system_checks = ()
    requires_migrations_checks = False
    key_name = "apiKey"
    epilog = (
        "Exit codes: 0 done, 1 the order did not end confirmed, 2 wrong use or refused, 3 the engine cannot be reached."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, epilog=self.epilog, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        own = f"http://{settings.HOST}:{settings.PORT}"
        parser.add_argument("--url", default=os.environ.get("ORDERENGINE_URL", own), help=f"the engine ({own})")
        parser.add_argument(
            "--key", help="API key; by default ORDERENGINE_KEY, then the one of an engine of this folder"
        )
        parser.add_argument("--json", action="store_true", help="one JSON text a line, for scripts")

    def handle(self, *args: Any, **options: Any) -> None:
        key = options["key"] or os.environ.get("ORDERENGINE_KEY")
        if key is None and urlsplit(options["url"]).hostname in ("127.0.0.1", "localhost", "::1", settings.HOST):
            key = local_key(self.key_name)
        self.client = Client(options["url"], key)
        self.console = Console(no_color=options["no_color"], soft_wrap=True)
        try:
            self.run(**options)
        except KeyboardInterrupt:
            Console(stderr=True, no_color=options["no_color"]).print("stopped looking; orders go on", style="dim")
        except BrokenPipeError:
            # Who read us, `head` perhaps, has enough; the interpreter must not try to write the rest either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def run(self, **options: Any) -> None:
        raise NotImplementedError

    def out(self, value: Any) -> None:
        """One JSON line."""
        self.stdout.write(json.dumps(value, ensure_ascii=False))
        self.stdout.flush()


def is_final(status: str) -> bool:
    return status in FINAL
