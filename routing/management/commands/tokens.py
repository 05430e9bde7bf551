"""`manage.py tokens add|list`: the table of tokens from the command line."""

import asyncio
from argparse import ArgumentParser, BooleanOptionalAction
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from routing import listing
from routing.models import TokenRow
from routing.venue import VenueError
from routing.world import close_world


class Command(BaseCommand):
    help = "Adds a token, changes what is said of it, lists what is known. Every process knows it within a second."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="a token, or more about one that is there")
        add.add_argument("mint")
        add.add_argument("--symbol")
        add.add_argument("--name")
        add.add_argument("--logo", help="https address of its picture")
        add.add_argument("--decimals", type=int, help="on the mock; on a chain the mint account says it")
        add.add_argument(
            "--verified", action=BooleanOptionalAction, help="from now on the symbol means this mint and no other"
        )
        show = actions.add_parser("list")
        show.add_argument("query", nargs="?", default="", help="a part of symbol or name, or the mint")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, action)(**options)

    def add(self, *, mint: str, **options: Any) -> None:
        said = {name: options[name] for name in (*listing.SAID, "decimals") if options[name] is not None}
        try:
            row = listing.save(mint, said, asyncio.run(self.read(mint)), source="staff")
        except listing.InvalidToken as error:
            raise CommandError(f"{error.field} {error}") from None
        except VenueError as error:
            raise CommandError(f"the chain does not answer: {error}") from None
        self.stdout.write(line(row))

    async def read(self, mint: str) -> Any:
        try:
            return await listing.read_mint(mint)
        finally:
            await close_world()

    def list(self, *, query: str, **_: Any) -> None:
        for row in TokenRow.objects.order_by("-verified", "rank", "symbol", "mint"):
            if query.casefold() in f"{row.symbol}\n{row.name}".casefold() or query == row.mint:
                self.stdout.write(line(row))


def line(row: TokenRow) -> str:
    state = "verified" if row.verified else "not verified"
    extensions = ",".join(row.extensions)
    fields = (row.mint, row.symbol, state, str(row.decimals), row.program, row.source, row.name, extensions)
    return "\t".join(fields).rstrip()
