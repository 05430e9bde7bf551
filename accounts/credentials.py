"""The first admin, the first accounts and keys, made when an engine starts on empty data."""

import json
import os
import secrets
from pathlib import Path

from django.contrib.auth import get_user_model

from accounts.auth import DEMO
from accounts.models import Account, ApiKey, Scope

ADMIN = "admin"


def ensure(data_dir: Path) -> None:
    """Makes the admin, the account `demo` and two keys unless this database has an admin; writes `credentials.json` (mode 600).

    Shape: `{"admin": {"username", "password"}, "apiKey", "staffApiKey"}`. Where the file is lost and the database is not,
    the password is set anew and keys are issued anew, for there is no other way back in.
    """
    file = data_dir / "credentials.json"
    users = get_user_model().objects
    admin = users.filter(username=ADMIN).first()
    if admin is not None and file.exists():
        return
    password = secrets.token_urlsafe(18)
    if admin is None:
        admin = users.create_superuser(ADMIN, password=password)
    else:
        admin.set_password(password)
        admin.save(update_fields=["password"])
    demo, _ = Account.objects.get_or_create(name=DEMO)
    staff, _ = Account.objects.get_or_create(name="staff", defaults={"user": admin})
    _, api_key = ApiKey.issue(demo, scopes=[Scope.TRADE, Scope.READ], name="first key")
    _, staff_key = ApiKey.issue(staff, scopes=[Scope.TRADE, Scope.READ, Scope.STAFF], name="first staff key")
    written = {
        "admin": {"username": ADMIN, "password": password},
        "apiKey": api_key,
        "staffApiKey": staff_key,
    }
    draft = file.with_suffix(".tmp")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(written, stream, indent=2)
    draft.replace(file)
