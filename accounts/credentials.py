"""The first administrator, the first accounts and keys: made once a database, and made anew by command only."""

import json
import os
import secrets
from pathlib import Path

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from accounts.auth import DEMO
from accounts.models import Account, ApiKey, Scope

ADMIN = "admin"
STAFF = "staff"
FILE = "credentials.json"
FIRST_KEY, FIRST_STAFF_KEY = "first key", "first staff key"


def made() -> bool:
    """Whether this database has had its first credentials. The database's word, whatever folder we are started on."""
    users = get_user_model().objects
    return users.filter(username=ADMIN).exists() or users.filter(is_superuser=True).exists()


def ensure(data_dir: Path) -> bool:
    """Makes them where there are none, and writes `credentials.json`; returns whether it did.

    A database that has them keeps them: no password is set anew and no key issued because a folder or a file is missing.
    """
    if made():
        return False
    with transaction.atomic():
        admin = get_user_model().objects.create_superuser(ADMIN)
        renew(data_dir)
        Account.objects.filter(name=STAFF, user=None).update(user=admin)
    return True


def renew(data_dir: Path) -> Path:
    """Sets the administrator's password anew, replaces the two first keys, and writes the file; returns its path.

    Shape: `{"admin": {"username", "password"}, "apiKey", "staffApiKey"}`, mode 600. Raises `OSError` when it cannot be written;
    then nothing has changed.
    """
    file = data_dir / FILE
    with transaction.atomic():
        admin, _ = get_user_model().objects.get_or_create(
            username=ADMIN, defaults={"is_superuser": True, "is_staff": True}
        )
        password = secrets.token_urlsafe(18)
        admin.set_password(password)
        admin.save(update_fields=["password"])
        first = ApiKey.objects.filter(name__in=(FIRST_KEY, FIRST_STAFF_KEY), revoked_at=None)
        first.update(revoked_at=timezone.now())
        demo, _ = Account.objects.get_or_create(name=DEMO)
        staff, _ = Account.objects.get_or_create(name=STAFF)
        _, api_key = ApiKey.issue(demo, scopes=[Scope.TRADE, Scope.READ], name=FIRST_KEY)
        _, staff_key = ApiKey.issue(staff, scopes=[Scope.TRADE, Scope.READ, Scope.STAFF], name=FIRST_STAFF_KEY)
        # Before the commit: on a full disk nobody's password is one that was never shown.
        write(
            file,
            {
                "admin": {"username": ADMIN, "password": password},
                "apiKey": api_key,
                "staffApiKey": staff_key,
            },
        )
    return file


def write(file: Path, content: object) -> None:
    """Written completely or not at all, readable by the owner only."""
    draft = file.with_suffix(".tmp")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(content, stream, indent=2)
    draft.replace(file)
