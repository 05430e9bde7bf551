"""`manage.py venues permit|forbid|list`: which venues and pools pairs may use, from the command line."""

from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from routing.models import PermitRow
from routing.permitting import InvalidPermit, forbid, pair_of, permit
from routing.world import tokens


class Command(BaseCommand):
    help = (
        "Says which venues and pools a pair may use; every process heeds it within a second. A pair that nothing is said of"
        " may use all of them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        for name, text in (
            ("permit", "from the first one on the pair uses nothing else"),
            ("forbid", "takes one back"),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument("pair", help="such as SOL-USDC; counts for both directions")
            action.add_argument("venue")
            action.add_argument(
                "pool", nargs="?", default="", help="address of one pool; without it all of the venue's"
            )
            if name == "permit":
                action.add_argument(
                    "--min-liquidity", default="0", help="what one side of a pool must hold, in the pair's quote token"
                )
        show = actions.add_parser("list")
        show.add_argument("pair", nargs="?", default="")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, action)(**options)
        except InvalidPermit as error:
            raise CommandError(f"{error.field} {error}") from None

    def permit(self, *, pair: str, venue: str, pool: str, min_liquidity: str, **_: Any) -> None:
        try:
            least = Decimal(min_liquidity)
        except InvalidOperation:
            raise InvalidPermit("min-liquidity", "is no number") from None
        self.stdout.write(line(permit(pair_of(pair), venue, pool, least)))

    def forbid(self, *, pair: str, venue: str, pool: str, **_: Any) -> None:
        forbid(pair_of(pair), venue, pool)

    def list(self, *, pair: str, **_: Any) -> None:
        rows = PermitRow.objects.order_by("base", "quote", "venue", "pool")
        if pair:
            found = pair_of(pair)
            rows = rows.filter(base=found.token_in.mint, quote=found.token_out.mint)
        for row in rows:
            self.stdout.write(line(row))


def line(row: PermitRow) -> str:
    name = tokens().name(f"{row.base}-{row.quote}")
    return "\t".join((name, row.venue, row.pool or "every pool", f"from {row.min_liquidity.normalize():f}"))
