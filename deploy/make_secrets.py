"""Makes the secrets that compose.yaml and the units use. A secret that exists is kept.

    python3 deploy/make_secrets.py [FOLDER] [--host HOST]

HOST is where Postgres, Redis and RabbitMQ are; without it each is a container of that name. Needs the standard library
only. The folder is closed to others; the files in it can be read by the containers' users. To replace one secret remove
its file and run this again (docs/upgrades.md, "Keys and secrets").
"""

import argparse
import base64
import hashlib
import json
import os
import secrets
from pathlib import Path

REDIS_ROLES = {
    # Kombu and the dispatches, rate limits, the trigger book and quotes, Channels' groups. Nothing that administers Redis:
    # no CONFIG, FLUSHALL, KEYS, DEBUG, ACL.
    "web": "~* &* +@all -@admin -@dangerous +info",
    "worker": "~* &* +@all -@admin -@dangerous +info",
    # Task events and queue lengths, and the channels of Celery's remote control (database 0). Not the channels on which
    # the engine publishes orders' events.
    "flower": "~_kombu.* ~orders ~quotes ~limit ~sniper ~dbsync ~dead ~*.reply.celery.pidbox ~celeryev* ~unacked* ~*pidbox* "
    "&/0.celeryev/* &/0.celery.pidbox +@all -@admin -@dangerous +info",
    "health": "-@all +ping",
}
POSTGRES_ROLES = {
    "owner": "orderengine_owner",  # Migrations: owns the schema.
    "runtime": "orderengine",  # Every process of the engine: rows only, no DDL.
    "monitor": "orderengine_monitor",  # The exporter: statistics only.
    "backup": "orderengine_backup",  # Base backups and the write-ahead log.
}
"""Secret: the role deploy/postgres/roles.sql makes with it."""


def make(folder: Path, host: str | None = None) -> list[str]:
    """Returns the names of the secrets that were made."""
    postgres, redis, broker = (host or name for name in ("postgres", "redis", "rabbitmq"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    made: list[str] = []

    def once(name: str, text: str) -> str:
        file = folder / name
        if not file.exists():
            descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(text + "\n")
            file.chmod(0o444)
            made.append(name)
        return file.read_text().strip()

    def password() -> str:
        return secrets.token_hex(24)

    once("secret_key", secrets.token_urlsafe(64))
    # Of the keys of wallets that are kept in Postgres; for order workers alone.
    once("wallet_encryption_keys", base64.b64encode(secrets.token_bytes(32)).decode())
    once("postgres_password", password())
    database = {name: once(f"postgres_{name}_password", password()) for name in POSTGRES_ROLES}
    for secret, name in (("database_url", "runtime"), ("database_url_owner", "owner")):
        once(secret, f"postgresql://{POSTGRES_ROLES[name]}:{database[name]}@{postgres}:5432/orderengine")
    once("backup_pgpass", f"{postgres}:5432:*:{POSTGRES_ROLES['backup']}:{database['backup']}")
    passwords = {role: once(f"redis_{role}_password", password()) for role in REDIS_ROLES}
    for role in ("web", "worker", "flower"):
        once(f"redis_url_{role}", f"redis://{role}:{passwords[role]}@{redis}:6379/0")
    users = [
        f"user {role} on resetkeys resetchannels #{digest(passwords[role])} {REDIS_ROLES[role]}" for role in REDIS_ROLES
    ]
    once("redis_acl", "\n".join(["user default off", *users]))
    once("flower_basic_auth", f"flower:{password()}")
    once("grafana_password", password())
    once("alert_webhook_url", "http://127.0.0.1:9/put-the-receiver-of-alerts-here")
    rabbitmq = once("rabbitmq_password", password())
    once("rabbitmq_definitions", json.dumps(definitions(rabbitmq), indent=2))
    once("broker_url", f"amqp://orderengine:{rabbitmq}@{broker}:5672//")
    once("tunnel_token", "put the tunnel's token here")
    return made


def digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def definitions(password: str) -> dict[str, object]:
    """RabbitMQ's users and permissions, its password salted and hashed as it stores it (SHA-256)."""
    salt = secrets.token_bytes(4)
    hashed = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    return {
        "users": [
            {
                "name": "orderengine",
                "password_hash": hashed,
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": [],
            }
        ],
        "vhosts": [{"name": "/"}],
        "permissions": [{"user": "orderengine", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("secrets"))
    parser.add_argument("--host")
    given = parser.parse_args()
    print(f"{given.folder}: made {', '.join(make(given.folder, given.host)) or 'nothing: everything is there'}")
