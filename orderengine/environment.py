"""What the engine's processes take from the environment they were started in, and what must not reach them."""

import os
import re
from collections.abc import MutableMapping

SETTINGS_MODULE = "orderengine.settings"

LIBPQ = re.compile(r"PG[A-Z]+\Z")
"""Every variable of libpq. With an embedded Postgres each of them would send us elsewhere or change what we read."""
FORMATS = ("PGCLIENTENCODING", "PGDATESTYLE", "PGTZ", "PGGEQO")
"""Those that change how values are written, never where the server is: no DATABASE_URL wants them."""
INTERPRETER = (
    "PYTHONWARNINGS",
    "PYTHONSTARTUP",
    "PYTHONHOME",
    "PYTHONINSPECT",
    "PYTHONOPTIMIZE",
    "PYTHONDEBUG",
    "PYTHONDEVMODE",
    "PYTHONIOENCODING",
    "PYTHONVERBOSE",
    "PYTHONPLATLIBDIR",
    "PYTHONSAFEPATH",
    "PYTHONCASEOK",
)
"""A developer's switches of the interpreter: under some of them our packages do not import."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
"""What a variable that is true or false may say, in any case."""

SERVICE = re.compile(r"PATH|HOME|TMPDIR|DATA_DIR|ORDERENGINE_\w+|LD_\w+|DYLD_\w+|FAKETIME\w*")
"""All that an embedded Postgres or Redis inherits: where programs, libraries and data are, and whose child it is.

`launch.py` is given the pattern.
"""
SERVICE_FIXED = {"LC_ALL": "C", "TZ": "UTC"}


KEYS_OF_WALLETS = ("WALLET_ENCRYPTION_KEYS", "WALLET_ENCRYPTION_KEYS_FILE")
"""For processes that sign only (`runtime.fleet.Kind.signs`)."""


def without_keys(variables: MutableMapping[str, str]) -> None:
    for name in KEYS_OF_WALLETS:
        variables.pop(name, None)


def clean(variables: MutableMapping[str, str], *, embedded: bool) -> None:
    """Removes what must not reach our processes, and keeps loopback addresses away from every proxy.

    `embedded`: Postgres is ours, so nothing of libpq's environment is meant for it.
    """
    for name in [*variables]:
        if name in INTERPRETER or name in FORMATS or (embedded and LIBPQ.match(name)):
            del variables[name]
    variables["DJANGO_SETTINGS_MODULE"] = SETTINGS_MODULE
    for name in ("NO_PROXY", "no_proxy"):
        given = [part.strip() for part in variables.get(name, "").split(",") if part.strip()]
        if "*" not in given:
            variables[name] = ",".join([*given, *(host for host in LOOPBACK if host not in given)])


def clean_own() -> None:
    """This process's, before any setting is read. Embedded services are those that no variable replaces."""
    embedded = not os.environ.get("DATABASE_URL") or os.environ.get("EMBEDDED", "") in ("1", "true")
    clean(os.environ, embedded=embedded)
