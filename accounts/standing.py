"""Which credentials are still good, asked for all that a process serves at once.

A credential is named by text: `key:<id of the API key>`, `session:<session key>`, or nothing for local mode's keyless
requests, which end with the process.
"""

from collections.abc import Iterable

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import close_old_connections
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.auth import Caller, KeyRing, key_caller, valid_keys


def standing(keys: KeyRing, credentials: Iterable[str]) -> dict[str, Caller]:
    """What each credential that still stands allows now; those that have ended are absent. Blocking.

    One statement for all keys; two for all sessions, and the account and rights of each person once.
    Raises `django.db.Error` while Postgres is away.
    """
    named: dict[str, list[str]] = {}
    for credential in credentials:
        kind, _, name = credential.partition(":")
        named.setdefault(kind, []).append(name)
    close_old_connections()
    try:
        return of_keys(named.get("key", ())) | of_sessions(keys, named.get("session", ()))
    finally:
        close_old_connections()


def of_keys(ids: Iterable[str]) -> dict[str, Caller]:
    wanted = [int(name) for name in ids]
    if not wanted:
        return {}
    callers = map(key_caller, valid_keys().filter(pk__in=wanted))
    return {caller.credential: caller for caller in callers}


def of_sessions(keys: KeyRing, names: Iterable[str]) -> dict[str, Caller]:
    """As `django.contrib.auth.get_user` judges a session: it has not expired, its person is active, the password is the
    one that it was opened with."""
    wanted = list(names)
    if not wanted:
        return {}
    rows = Session.objects.filter(session_key__in=wanted, expire_date__gt=timezone.now())
    store = SessionStore()
    opened = {row.session_key: store.decode(row.session_data) for row in rows}
    ids = {data[SESSION_KEY] for data in opened.values() if SESSION_KEY in data}
    people = {str(person.pk): person for person in get_user_model().objects.filter(pk__in=ids, is_active=True)}
    callers = {pk: keys.of_user(person) for pk, person in people.items()}
    found: dict[str, Caller] = {}
    for name, data in opened.items():
        pk = data.get(SESSION_KEY, "")
        caller = callers.get(pk)
        if caller is None:
            continue
        hashes = (people[pk].get_session_auth_hash(), *people[pk].get_session_auth_fallback_hash())
        if any(constant_time_compare(data.get(HASH_SESSION_KEY, ""), known) for known in hashes):
            found[f"session:{name}"] = caller
    return found
