"""The engine as commands use it: REST and WebSocket, on this machine or elsewhere. Never its database.

Exit codes: 0 done, 1 the order did not end confirmed, 2 wrong use or refused, 3 the engine cannot be reached.
"""

import json
import os
import socket
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import httpx
from django.conf import settings
from django.core.management import BaseCommand, CommandError
from rich.console import Console
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from orders.lifecycle import FINAL

NOT_CONFIRMED, REFUSED, UNREACHABLE = 1, 2, 3
TIMEOUT_S = 10.0
RETRY_S = 1.0
GIVE_UP_S = 60.0
"""How long a watched stream may be away before the command ends."""
UNAUTHENTICATED, NOT_FOUND = 4401, 4404


class Client:
    """`url` is where the engine is reached, `name` the host name it is asked by if that is another (see `public_name`)."""

    def __init__(self, url: str, key: str | None, name: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._name = name
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        # A proxy of the environment is for elsewhere: it does not reach this machine's loopback.
        elsewhere = urlsplit(self.url).hostname not in ("127.0.0.1", "localhost", "::1")
        forwarded = {"Host": name, "X-Forwarded-Proto": "https"} if name else {}
        try:
            self._parts = parts(self.url)
            self._http = httpx.Client(
                base_url=self.url, headers=self._headers | forwarded, timeout=TIMEOUT_S, trust_env=elsewhere
            )
        except httpx.InvalidURL:
            raise CommandError(f"--url {url} is no URL", returncode=REFUSED) from None
        except UnicodeEncodeError:
            raise CommandError("a key has letters, digits and _ only", returncode=REFUSED) from None

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> Any:
        """The answer's JSON. Raises `CommandError` with the exit code that fits."""
        try:
            answer = self._http.request(method, path, headers=headers, **options)
        except httpx.HTTPError as error:
            raise CommandError(f"{self.url} cannot be reached: {error}", returncode=UNREACHABLE) from None
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise CommandError(f"this cannot be sent: {error}", returncode=REFUSED) from None
        try:
            body = answer.json()
        except ValueError:
            raise CommandError(f"{self.url} is no orderengine ({answer.status_code})", returncode=UNREACHABLE) from None
        if answer.is_success:
            return body
        said = body.get("error", {})
        code = UNREACHABLE if answer.status_code >= 500 else REFUSED
        raise CommandError(f"{said.get('code', answer.status_code)}: {said.get('message', '')}", returncode=code)

    def stream(self, path: str, *, resume: str = "after", by: str = "seq") -> Iterator[dict[str, Any]]:
        """A socket's messages; connects again when it is cut off. `resume` is then what `by` of the newest event was."""
        reached, away_since = None, None
        while True:
            try:
                with self._connect(path if reached is None else f"{path}?{resume}={segment(str(reached))}") as stream:
                    away_since = None
                    for text in stream:
                        message = json.loads(text)
                        reached = message.get(by, reached)
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

    def _connect(self, path: str) -> ClientConnection:
        host, port = self._parts.hostname or "", self._parts.port
        scheme = "wss" if self._parts.scheme == "https" else "ws"
        if not self._name:
            return connect(f"{scheme}://{self._parts.netloc}{self._parts.path}{path}", additional_headers=self._headers)
        # The library takes the Host header from the URL; the connection goes to where the engine listens.
        to = socket.create_connection((host, port or 80), timeout=TIMEOUT_S)
        return connect(f"ws://{self._name}{path}", sock=to, additional_headers=self._headers)


def parts(url: str) -> SplitResult:
    """Raises `CommandError` for what is no http or https URL."""
    try:
        found = urlsplit(url)
        if found.scheme in ("http", "https") and found.hostname and found.port != 0:
            return found
    except ValueError:
        pass
    raise CommandError(f"--url {url} is no URL such as https://engine.example.com", returncode=REFUSED)


def segment(text: str) -> str:
    """`text` as one part of a path."""
    return quote(text.encode(errors="replace"), safe="")


def own_url() -> str:
    """Where a web process of this machine listens."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.HOST, settings.HOST)  # nosec B104
    return f"http://{host}:{settings.PORT}"


def is_own(found: SplitResult) -> bool:
    """Whether it is the engine whose settings this command has: on this machine, or under one of its own names."""
    host = found.hostname or ""
    own = {"127.0.0.1", "localhost", "::1", settings.HOST, *settings.ALLOWED_HOSTS}
    return host in own and (found.scheme == "http" or settings.HTTPS)


def public_name(found: SplitResult) -> str | None:
    """The host name by which an engine behind a proxy wants to be asked where the proxy is passed by; None: as in the URL."""
    names = [name.removeprefix(".") for name in settings.ALLOWED_HOSTS if name != "*"]
    if found.scheme != "http" or not is_own(found) or not names:
        return None
    return names[0] if settings.HTTPS or found.hostname not in names and "*" not in settings.ALLOWED_HOSTS else None


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
        own = own_url()
        parser.add_argument("--url", default=os.environ.get("ORDERENGINE_URL") or own, help=f"the engine ({own})")
        parser.add_argument(
            "--key", help="API key; by default ORDERENGINE_KEY, then the one of an engine of this folder"
        )
        parser.add_argument("--json", action="store_true", help="one JSON text a line, for scripts")

    def handle(self, *args: Any, **options: Any) -> None:
        key = options["key"] or os.environ.get("ORDERENGINE_KEY")
        found = parts(options["url"])
        if key is None and is_own(found):
            key = local_key(self.key_name)
        self.client = Client(options["url"], key, public_name(found))
        self.console = Console(no_color=options["no_color"], soft_wrap=True)
        try:
            self.run(**options)
        except KeyboardInterrupt:
            Console(stderr=True, no_color=options["no_color"]).print("stopped looking; orders go on", style="dim")
        except BrokenPipeError:
            # The reader, `head` perhaps, has closed the pipe; the interpreter must not try to write what is left at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        finally:
            self.client.close()

    def run(self, **options: Any) -> None:
        raise NotImplementedError

    def out(self, value: Any) -> None:
        """One JSON line."""
        self.stdout.write(json.dumps(value, ensure_ascii=False))
        self.stdout.flush()


def is_final(status: str) -> bool:
    return status in FINAL
