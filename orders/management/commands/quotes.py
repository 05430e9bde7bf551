"""Shows what both venues pay, and which is the better."""

import queue
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management import CommandError
from rich.live import Live
from rich.table import Table

from orders.management.client import EngineCommand, segment

BESIDE_VENUES = frozenset({"type", "pair", "at", "best"})
"""Fields of a message of prices that are no venue."""


class Command(EngineCommand):
    help = "Shows the quotes of pairs such as SOL-USDC, once or with --watch as they come."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("pairs", metavar="PAIR", nargs="*", default=["SOL-USDC"])
        parser.add_argument("--watch", action="store_true", help="go on, twice a second")
        super().add_arguments(parser)

    def run(self, **options: Any) -> None:
        pairs = options["pairs"]
        shown = {pair: self.client.call("GET", f"/api/quotes/{segment(pair)}") for pair in pairs}
        if options["json"]:
            for quotes in shown.values():
                self.out(quotes)
            for message in self.stream(pairs) if options["watch"] else ():
                self.out(message)
        elif options["watch"]:
            with Live(quote_table(shown), console=self.console, auto_refresh=False) as live:
                for message in self.stream(pairs):
                    shown[message["pair"]] = message
                    live.update(quote_table(shown), refresh=True)
        else:
            self.console.print(quote_table(shown))

    def stream(self, pairs: list[str]) -> Iterator[dict[str, Any]]:
        """Every pair's quotes as they come, without an end. Raises what the first broken stream raises."""
        messages: queue.Queue[dict[str, Any] | CommandError] = queue.Queue()
        for pair in pairs:
            threading.Thread(target=self.read, args=(pair, messages), daemon=True).start()
        while True:
            message = messages.get()
            if isinstance(message, CommandError):
                raise message
            yield message

    def read(self, pair: str, messages: "queue.Queue[dict[str, Any] | CommandError]") -> None:
        try:
            for message in self.client.stream(f"/ws/quotes/{segment(pair)}"):
                messages.put(message)
        except CommandError as error:
            messages.put(error)


def quote_table(shown: dict[str, dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 3, 0, 0))
    for name, side in (
        ("pair", "left"),
        ("venue", "left"),
        ("net price", "right"),
        ("fee", "right"),
        ("liquidity", "right"),
    ):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for pair, quotes in shown.items():
        best = quotes.get("best") or {}
        for venue, quote in quotes.items():
            if venue in BESIDE_VENUES:
                continue
            wins = best.get("venue", "").lower() == venue
            style = "bold green" if wins else None
            if quote is None:
                table.add_row(pair, venue.upper(), "not trading", "", "", style="dim")
            else:
                name = f"{venue.upper()}{' ✓' if wins else ''}"
                fee = f"{quote['feeBps'] / 100:.2f} %"
                table.add_row(pair, name, quote["netPrice"], fee, quote["liquidity"], style=style)
    return table
