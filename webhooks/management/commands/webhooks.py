"""`manage.py webhooks create|list|rotate|replay|enable|disable|delete`: webhooks from the command line."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Account
from orders.errors import ApiError
from webhooks import commands
from webhooks.endpoint_in import DEFAULT_OVERLAP_S, WebhookAmendIn
from webhooks.models import Endpoint
from webhooks.types import DEFAULT


def moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = "Makes, shows and changes webhooks. A secret is shown once, when it is made."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="a new webhook of an account; prints its id and secret")
        create.add_argument("account")
        create.add_argument("url")
        create.add_argument("--types", help="comma separated; by default what ends, and alerts")
        create.add_argument("--all-accounts", action="store_true", help="everybody's events, and operators' alerts")
        show = actions.add_parser("list")
        show.add_argument("account", nargs="?")
        for name, text in (
            ("rotate", "prints a new secret; the former one signs as well for a day"),
            ("enable", "sends what happens from now on"),
            ("disable", "sends nothing"),
            ("delete", "ends it"),
            ("replay", "sends the events of a time again"),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument("webhook", type=UUID, help="its id, as `list` shows it")
            if name == "replay":
                action.add_argument("begin", type=moment, help="such as 2026-11-27T00:00:00Z")
                action.add_argument("end", type=moment, nargs="?", help="by default now")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, action)(**options)
        except ApiError as error:
            raise CommandError(error.message) from None
        except (Account.DoesNotExist, Endpoint.DoesNotExist) as error:
            raise CommandError(str(error)) from None

    def create(self, *, account: str, url: str, types: str | None, all_accounts: bool, **_: Any) -> None:
        owner = Account.objects.get(name=account)
        wanted = DEFAULT if types is None else [each.strip() for each in types.split(",")]
        endpoint, secret = commands.create(owner.pk, url, wanted, all_accounts=all_accounts)
        self.stdout.write(f"{endpoint.pk}\t{secret}")

    def list(self, *, account: str | None, **_: Any) -> None:
        found = Endpoint.objects.select_related("account").order_by("pk")
        for each in found.filter(account__name=account) if account else found:
            state = "disabled" if not each.enabled else "failing" if each.failing_since else "enabled"
            line = (str(each.pk), each.account.name, state, each.url, ",".join(each.types))
            self.stdout.write("\t".join(line))

    def rotate(self, *, webhook: UUID, **_: Any) -> None:
        self.stdout.write(commands.rotate(Endpoint.objects.get(pk=webhook), DEFAULT_OVERLAP_S)[1])

    def enable(self, *, webhook: UUID, **_: Any) -> None:
        commands.amend(Endpoint.objects.get(pk=webhook), WebhookAmendIn(enabled=True))

    def disable(self, *, webhook: UUID, **_: Any) -> None:
        commands.amend(Endpoint.objects.get(pk=webhook), WebhookAmendIn(enabled=False))

    def delete(self, *, webhook: UUID, **_: Any) -> None:
        Endpoint.objects.get(pk=webhook).delete()

    def replay(self, *, webhook: UUID, begin: datetime, end: datetime | None, **_: Any) -> None:
        commands.replay(Endpoint.objects.get(pk=webhook), begin, end or datetime.now(UTC))
