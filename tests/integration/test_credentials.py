"""The first credentials: once a database, whatever folder the engine is started on; anew by command only."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import RequestFactory

from accounts import credentials
from accounts.models import Account, ApiKey
from orders.ledger.statements import Connection


class Undone(Exception):
    pass


@pytest.fixture
def empty(database: Connection) -> Iterator[None]:
    """A database without users, accounts and keys; what it had comes back."""
    try:
        with transaction.atomic():
            ApiKey.objects.all().delete()
            get_user_model().objects.all().delete()
            yield
            raise Undone
    except Undone:
        pass


def said(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / credentials.FILE).read_text()))


def signed_in(known: dict[str, Any]) -> bool:
    return authenticate(RequestFactory().post("/"), **known["admin"]) is not None


def test_they_are_made_once_by_the_database_s_word(empty: None, tmp_path: Path) -> None:
    first, other = tmp_path / "first", tmp_path / "other"
    first.mkdir()
    other.mkdir()
    assert credentials.ensure(first)
    known, keys = said(first), ApiKey.objects.count()
    assert stat.S_IMODE((first / credentials.FILE).stat().st_mode) == 0o600
    assert signed_in(known) and keys == 2
    assert Account.objects.get(name="staff").user == get_user_model().objects.get()

    assert not credentials.ensure(other), "another folder"
    (first / credentials.FILE).unlink()
    assert not credentials.ensure(first), "a deleted file"

    assert signed_in(known) and ApiKey.objects.count() == keys
    assert not list(other.iterdir())


def test_an_administrator_of_another_name_is_enough(empty: None, tmp_path: Path) -> None:
    get_user_model().objects.create_superuser("operations", password="a long password of theirs")
    assert not credentials.ensure(tmp_path) and ApiKey.objects.count() == 0


def test_a_reset_is_a_command(empty: None, tmp_path: Path, settings: Any) -> None:
    settings.DATA_DIR = tmp_path
    credentials.ensure(tmp_path)
    before = said(tmp_path)

    call_command("credentials", "reset", verbosity=0)

    after = said(tmp_path)
    assert signed_in(after) and not signed_in(before)
    assert ApiKey.objects.filter(revoked_at=None).count() == 2 and ApiKey.objects.count() == 4


def test_where_the_file_cannot_be_written_nothing_changes(empty: None, tmp_path: Path, settings: Any) -> None:
    credentials.ensure(tmp_path)
    known = said(tmp_path)
    settings.DATA_DIR = tmp_path / "missing"

    with pytest.raises(CommandError, match="nothing has changed"):
        call_command("credentials", "reset")

    assert signed_in(known) and ApiKey.objects.filter(revoked_at=None).count() == 2
