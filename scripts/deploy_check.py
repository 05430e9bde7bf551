"""Migrations and Django's deploy checks, in the configuration of a server. Needs no database."""

import os
import subprocess
import sys

SERVER = {
    "HTTPS": "true",
    "HOST": "0.0.0.0",
    "ALLOWED_HOSTS": "engine.example.com",
    "SECRET_KEY": "checked-only-" + "".join(chr(97 + n % 26) for n in range(3, 160, 3)),
    "DATABASE_URL": "postgresql:///checked",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}
CHECKS = (
    ("makemigrations", "--check", "--dry-run"),
    ("check", "--deploy", "--fail-level", "WARNING"),
)

for check in CHECKS:
    print("manage.py", *check, flush=True)
    # makemigrations asks the database for its history and only warns where it cannot.
    command = [sys.executable, "-W", "ignore", "manage.py", *check]
    if subprocess.run(command, env={**os.environ, **SERVER}, check=False).returncode:
        sys.exit(1)
