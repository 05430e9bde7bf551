"""Lists orders that failed for good, and sends them round again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management import CommandError
from rich.table import Table

from orders.management.client import REFUSED, EngineCommand
from orders.management.stages import moment


class Command(EngineCommand):
    help = "Lists the dead letters; `dead-letters requeue ID…` (or --all) sends their orders round again. Needs a staff key."
    key_name = "staffApiKey"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("act", nargs="?", choices=("list", "requeue"), default="list")
        parser.add_argument("ids", metavar="ID", nargs="*", type=int, help="of dead letters, not of orders")
        parser.add_argument("--all", action="store_true", help="requeue every open one")
        parser.add_argument("--resolved", action="store_true", help="list those that were dealt with")
        super().add_arguments(parser)

    def run(self, **options: Any) -> None:
        if options["act"] == "requeue":
            return self.requeue(options["ids"], every=options["all"], as_json=options["json"])
        letters = self.letters(resolved=options["resolved"])
        if options["json"]:
            for letter in letters:
                self.out(letter)
            return None
        self.console.print(letter_table(letters) if letters else "no dead letters")

    def letters(self, *, resolved: bool) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        asked: dict[str, Any] = {"resolved": str(resolved).lower(), "limit": 200}
        while True:
            page = self.client.call("GET", "/api/dead-letters", params=asked)
            found += page["deadLetters"]
            if page["next"] is None:
                return found
            asked["cursor"] = page["next"]

    def requeue(self, ids: list[int], *, every: bool, as_json: bool) -> None:
        if every == bool(ids):
            raise CommandError("name the IDs to requeue, or say --all", returncode=REFUSED)
        refused = 0
        for letter_id in [letter["id"] for letter in self.letters(resolved=False)] if every else ids:
            try:
                order = self.client.call("POST", f"/api/dead-letters/{letter_id}/requeue")
            except CommandError as error:
                if error.returncode != REFUSED:
                    raise
                refused += 1
                self.stderr.write(f"{letter_id}: {error}")
                continue
            if as_json:
                self.out(order)
            else:
                self.console.print(f"{letter_id}: order {order['orderId']} is {order['status']} again")
        if refused:
            raise CommandError(f"{refused} not requeued", returncode=REFUSED)


def letter_table(letters: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("id", "failed", "order", "reason", "attempts", "last error"):
        table.add_column(name, no_wrap=name != "last error")
    for letter in letters:
        history = letter["history"]
        failed = f"{moment(letter['createdAt']).astimezone():%m-%d %H:%M:%S}"
        last = history[-1]["message"] if history else ""
        table.add_row(str(letter["id"]), failed, letter["orderId"], letter["reason"], str(len(history)), last)
    return table
