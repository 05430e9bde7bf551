"""Makes a plan of a JSON file, lists plans, shows one with its events, cancels, pauses or resumes one."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import CommandError

from orders.management.client import REFUSED, EngineCommand, segment

ACTIONS = {"cancel": ("DELETE", ""), "pause": ("POST", "/pause"), "resume": ("POST", "/resume")}


def body_of(name: str) -> Any:
    """What a file says, or stdin for `-`. Raises `CommandError`."""
    try:
        return json.loads(sys.stdin.read() if name == "-" else Path(name).read_text())
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}", returncode=REFUSED) from None
    except ValueError as error:
        raise CommandError(f"{name} is no JSON: {error}", returncode=REFUSED) from None


class Command(EngineCommand):
    help = "Lists the account's newest plans; with an ID shows that one; with --make makes one of a JSON file (- reads stdin)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("plan_id", metavar="ID", nargs="?")
        parser.add_argument("--make", metavar="FILE", help="the body of POST /api/plans")
        parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many (20)")
        one = parser.add_mutually_exclusive_group()
        for action in ACTIONS:
            one.add_argument(f"--{action}", action="store_true", help=f"{action} the plan ID")
        super().add_arguments(parser)

    def run(self, **options: Any) -> None:
        if options["make"]:
            return self.show(self.client.call("POST", "/api/plans", json=body_of(options["make"])), options["json"])
        if options["plan_id"] is None:
            for plan in self.client.call("GET", "/api/plans", params={"limit": options["limit"]})["plans"]:
                self.line(plan, options["json"])
            return
        path = f"/api/plans/{segment(options['plan_id'])}"
        action = next((name for name in ACTIONS if options[name]), None)
        method, suffix = ACTIONS[action] if action else ("GET", "")
        self.show(self.client.call(method, path + suffix), options["json"])
        if not options["json"]:
            for event in self.client.call("GET", f"{path}/events")["events"]:
                self.console.print(f"{event['seq']:>4}  {event['at']}  {event['status']}")

    def line(self, plan: dict[str, Any], as_json: bool) -> None:
        if as_json:
            return self.out(plan)
        self.console.print(f"{plan['planId']}  {plan['kind']:<8}  {plan['status']:<9}  {plan['createdAt']}")

    def show(self, plan: dict[str, Any], as_json: bool) -> None:
        self.line(plan, as_json)
        if not as_json:
            for leg in plan["legs"]:
                price = leg["limitPrice"] or "-"
                self.console.print(
                    f"  {leg['leg']:<6} {leg['round']}  {leg['status']:<9}  {leg['amount']} at {price}  {leg['orderId']}"
                )
