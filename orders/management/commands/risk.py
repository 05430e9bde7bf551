"""Shows trading state and limits, sets limits, stops trading and lets it go on."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management import CommandError

from orders.management.client import REFUSED, EngineCommand

STATES = {"halt": "HALTED", "reduce": "REDUCING", "activate": "ACTIVE"}
EVERYBODYS = "*"


class Command(EngineCommand):
    help = (
        "Shows the trading state and limits of everybody, or of --account. `risk halt` stops, within a second, everything that is"
        " not submitted; `risk reduce` lets only sales pass; `risk activate` lets all go on. `risk limits maxDailySpend=9 …` sets"
        " the limits, and lifts those that are not named. Needs a staff key."
    )
    key_name = "staffApiKey"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("act", nargs="?", choices=("show", *STATES, "limits"), default="show")
        parser.add_argument(
            "limits", metavar="NAME=VALUE", nargs="*", help="as in PUT /api/risk; tokens with commas between"
        )
        parser.add_argument("--account", metavar="NAME", help="of one account; otherwise of everybody together")
        super().add_arguments(parser)

    def run(self, **options: Any) -> None:
        account = options["account"]
        if options["limits"] and options["act"] != "limits":
            raise CommandError("NAME=VALUE belongs to `risk limits`", returncode=REFUSED)
        if state := STATES.get(options["act"]):
            body = {"state": state} | ({"account": account} if account else {})
            self.client.call("POST", "/api/trading-state", json=body)
        asked = {"account": account or EVERYBODYS}
        if options["act"] == "limits":
            self.show(
                self.client.call("PUT", "/api/risk", params=asked, json=limits(options["limits"])), options["json"]
            )
        else:
            self.show(self.client.call("GET", "/api/risk", params=asked), options["json"])

    def show(self, risk: dict[str, Any], as_json: bool) -> None:
        if as_json:
            return self.out(risk)
        self.console.print(f"{risk['account'] or 'everybody'}: {risk['tradingState']}")
        own = risk["own"]["limits"]
        for name, limit in own.items():
            if limit not in (None, []):
                self.console.print(f"  {name} {', '.join(limit) if isinstance(limit, list) else limit}")
        for name, used in risk["used"].items():
            self.console.print(f"  {name} {used}")
        for change in risk["changes"]:
            whose = change["account"] or "everybody"
            self.console.print(f"  {change['at']}  {whose}  {change['by']}: {change['before']} → {change['after']}")


def limits(given: list[str]) -> dict[str, Any]:
    """Raises `CommandError`."""
    found: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise CommandError(f"{each} is not NAME=VALUE", returncode=REFUSED)
        whole = name in ("maxOpenOrders", "maxOrdersPerMinute", "priceCollarBps")
        if name == "gates":
            try:
                found[name] = json.loads(value)
            except ValueError as error:
                raise CommandError(f"{each}: {error}", returncode=REFUSED) from None
        elif name.endswith("Tokens"):
            found[name] = [token for token in value.split(",") if token]
        else:
            found[name] = int(value) if whole and value.isdigit() else value
    return found
