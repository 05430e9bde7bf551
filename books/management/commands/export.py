"""`manage.py export fills|audit`: all of a range to standard output, in constant memory."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Account
from books.audit import audited
from books.export import csv_of, ndjson
from books.fills import EARLIEST, FillOut, Wanted
from books.views import all_fills


class Command(BaseCommand):
    help = "Writes an account's fills, or the record of orders (events, quotes, transactions, who asked), to standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["fills", "audit"])
        parser.add_argument("--account", help="its name; of an audit: all accounts by default")
        parser.add_argument(
            "--from", dest="since", type=moment, default=EARLIEST, help="RFC 3339 or a date, UTC by default"
        )
        parser.add_argument("--to", dest="until", type=moment, default=None, help="excluded; now by default")
        parser.add_argument("--mode", help="of fills: the EXECUTION_MODE they were made in")
        parser.add_argument(
            "--format", choices=["csv", "ndjson"], default="ndjson", help="of fills; an audit is ndjson"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        until = options["until"] or datetime.now(UTC)
        name = options["account"]
        if options["what"] == "audit":
            if options["format"] != "ndjson":
                raise CommandError("an audit is a tree of values: ndjson only")
            if name is not None:
                account_named(name)
            return write(ndjson(audited(options["since"], until, name)))
        if name is None:
            raise CommandError("say whose fills: --account NAME")
        which = Wanted(account_id=account_named(name), since=options["since"], until=until, mode=options["mode"])
        write(ndjson(all_fills(which)) if options["format"] == "ndjson" else csv_of(FillOut, all_fills(which)))


def moment(said: str) -> datetime:
    found = datetime.fromisoformat(said)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def account_named(name: str) -> int:
    found = Account.objects.filter(name=name).values_list("pk", flat=True).first()
    if found is None:
        raise CommandError(f"there is no account {name!r}")
    return found


def write(pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.flush()
