"""Lists orders, shows one, cancels one."""

from argparse import ArgumentParser
from typing import Any

from orders.lifecycle import Status
from orders.management.client import EngineCommand, is_final, segment
from orders.management.stages import STYLES, order_table, progress, said
from orders.models import OrderType


class Command(EngineCommand):
    help = "Lists the account's newest orders; with an ID shows that one and its events, with --cancel stops it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("order_id", metavar="ID", nargs="?")
        parser.add_argument("--cancel", action="store_true", help="cancel the order ID")
        parser.add_argument("--status", choices=[status.value for status in Status])
        parser.add_argument("--type", choices=OrderType.values)
        parser.add_argument("--pair", metavar="SOL-USDC")
        parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many (20)")
        parser.add_argument("--watch", action="store_true", help="go on with every event of every order")
        super().add_arguments(parser)

    def run(self, **options: Any) -> None:
        if options["order_id"]:
            return self.one(options["order_id"], cancel=options["cancel"], as_json=options["json"])
        asked = {name: options[name] for name in ("status", "type", "pair", "limit") if options[name] is not None}
        found = self.client.call("GET", "/api/orders", params=asked)["orders"]
        if options["json"]:
            for order in found:
                self.out(order)
        else:
            self.console.print(order_table(found, self.console.width) if found else "no orders")
        if options["watch"]:
            self.feed(as_json=options["json"])

    def one(self, order_id: str, *, cancel: bool, as_json: bool) -> None:
        path = f"/api/orders/{segment(order_id)}"
        order = self.client.call("DELETE" if cancel else "GET", path)
        if as_json:
            return self.out(order)
        events = self.client.call("GET", f"{path}/events")["events"]
        self.console.print(progress(order, events, final=is_final(order["status"])))

    def feed(self, *, as_json: bool) -> None:
        seen: dict[str, int] = {}
        for message in self.client.stream("/ws/orders", resume="since", by="at"):
            # After a break some of it comes again.
            if message["type"] != "event" or message["seq"] <= seen.get(message["orderId"], 0):
                continue
            seen[message["orderId"]] = message["seq"]
            if as_json:
                self.out(message)
            else:
                status = message["status"]
                self.console.print(f"{message['orderId']}  [{STYLES[status]}]{status:<10}[/]", said(message["data"]))
