"""`manage.py keys create|revoke|list`: API keys from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.auth import KEY_CACHE_S
from accounts.models import Account, ApiKey, Scope


class Command(BaseCommand):
    help = "Makes, revokes and lists API keys. A key is shown once, when it is made."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="a new key; its account is made if it is missing")
        create.add_argument("account")
        create.add_argument("--scopes", default="trade,read", help="of trade, read, staff (default: trade,read)")
        create.add_argument("--name", default="", help="what it is for")
        revoke = actions.add_parser("revoke", help=f"takes effect everywhere within {KEY_CACHE_S:.0f} seconds")
        revoke.add_argument("prefix", help="the key's first characters, as `list` shows them")
        show = actions.add_parser("list")
        show.add_argument("account", nargs="?")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, action)(**options)

    def create(self, *, account: str, scopes: str, name: str, **_: Any) -> None:
        wanted = sorted({scope.strip() for scope in scopes.split(",") if scope.strip()})
        if unknown := set(wanted) - set(Scope.values) or not wanted:
            raise CommandError(f"--scopes takes some of {', '.join(Scope.values)}, not {unknown or scopes!r}")
        if not 1 <= len(account) <= 64 or len(name) > 64:
            raise CommandError("an account and a key's name have at most 64 characters")
        owner, _made = Account.objects.get_or_create(name=account)
        _key, secret = ApiKey.issue(owner, scopes=wanted, name=name)
        self.stdout.write(secret)

    def revoke(self, *, prefix: str, **_: Any) -> None:
        found = list(ApiKey.objects.filter(prefix=prefix[:10], revoked_at=None)[:2])
        if len(found) != 1:
            raise CommandError(f"{'several keys start' if found else 'no key in use starts'} with {prefix[:10]}")
        ApiKey.objects.filter(pk=found[0].pk).update(revoked_at=timezone.now())
        self.stdout.write(f"revoked {found[0]}")

    def list(self, *, account: str | None, **_: Any) -> None:
        keys = ApiKey.objects.select_related("account").order_by("account__name", "pk")
        if account is not None:
            keys = keys.filter(account__name=account)
        for key in keys:
            used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"
            state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "in use"
            line = (key.account.name, key.prefix, ",".join(key.scopes), state, used, key.name)
            self.stdout.write("\t".join(line).rstrip())
