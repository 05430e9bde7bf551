"""Places an order, and watches it."""

import json
import secrets
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management import CommandError
from rich.live import Live

from orders.management.client import NOT_CONFIRMED, REFUSED, EngineCommand, is_final
from orders.management.stages import progress

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Command(EngineCommand):
    help = (
        "Places an order: `order SOL USDC 1.5 --watch`. With --limit it waits for its price, with --snipe for a launch, "
        "for liquidity or for volume."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("token_in", metavar="SELL", help="token that is paid, by symbol or mint")
        parser.add_argument("token_out", metavar="BUY", help="token that is received")
        parser.add_argument("amount", metavar="AMOUNT", nargs="?", help="of the token that is paid")
        parser.add_argument(
            "--amount-out", metavar="N", help="exact out, instead of AMOUNT: what is received, no less and no more"
        )
        parser.add_argument("--amount-in-max", metavar="N", help="with --amount-out: what is paid for it at most")
        parser.add_argument("--limit", metavar="PRICE", help="limit order at this price (BUY per SELL)")
        parser.add_argument(
            "--price-in",
            choices=("tokenOut", "tokenIn"),
            help="what PRICE counts: BUY per SELL (tokenOut, default), or SELL per BUY (tokenIn)",
        )
        side = parser.add_mutually_exclusive_group()
        side.add_argument(
            "--gte", action="store_const", const="gte", dest="side", help="fire at or above PRICE (default)"
        )
        side.add_argument(
            "--lte", action="store_const", const="lte", dest="side", help="fire at or below PRICE: a stop"
        )
        parser.add_argument(
            "--snipe",
            nargs="?",
            const="token_launch",
            choices=("token_launch", "liquidity", "volume"),
            help="sniper order (token_launch)",
        )
        parser.add_argument("--min-liquidity", metavar="N", help="for --snipe liquidity")
        parser.add_argument("--volume-factor", metavar="N", help="for --snipe volume: times the average")
        parser.add_argument("--gates", metavar="JSON", help="for --snipe: what has to hold of the token that is bought")
        parser.add_argument("--max-price-impact-bps", type=int, metavar="BPS")
        parser.add_argument(
            "--max-fee-lamports", type=int, metavar="N", help="what it pays the chain at most, rent apart"
        )
        parser.add_argument("--slippage-bps", type=int, metavar="BPS", help="0 to 5000 (50)")
        parser.add_argument("--expires-in", metavar="TIME", help="such as 90s, 15m, 2h, 7d")
        parser.add_argument("--client-order-id", metavar="ID", help="your own id: the same again is the same order")
        parser.add_argument("--watch", action="store_true", help="follow it to its end")
        super().add_arguments(parser)

    def run(self, **options: Any) -> None:
        order = self.asked(**options)
        answer = self.client.call(
            "POST", "/api/orders/execute", json=order, headers={"Idempotency-Key": secrets.token_hex(16)}
        )
        if options["watch"]:
            return self.watch(answer["orderId"], as_json=options["json"])
        if options["json"]:
            return self.out(answer)
        self.console.print(f"[green]accepted[/] {answer['orderId']}")
        self.console.print(f"stream   {answer['ws']}", style="dim")

    def asked(self, **options: Any) -> dict[str, Any]:
        """The order as the API takes it; what the API would refuse is its to refuse."""
        if (options["amount"] is None) == (options["amount_out"] is None):
            raise CommandError("say AMOUNT, or --amount-out N", returncode=REFUSED)
        if options["side"] and not options["limit"]:
            raise CommandError("--gte and --lte belong to --limit PRICE", returncode=REFUSED)
        if options["limit"] and options["snipe"]:
            raise CommandError("an order is --limit or --snipe, not both", returncode=REFUSED)
        order: dict[str, Any] = {
            "tokenIn": options["token_in"],
            "tokenOut": options["token_out"],
            "amount": options["amount"],
            "amountOut": options["amount_out"],
            "amountInMax": options["amount_in_max"],
            "type": "limit" if options["limit"] else "sniper" if options["snipe"] else "market",
            "slippageBps": options["slippage_bps"],
            "clientOrderId": options["client_order_id"],
            "maxPriceImpactBps": options["max_price_impact_bps"],
            "maxFeeLamports": options["max_fee_lamports"],
            "limitPrice": options["limit"],
            "priceIn": options["price_in"],
            "triggerCondition": options["side"],
            "expiresAt": expiry(options["expires_in"]),
        }
        if options["snipe"]:
            trigger = {
                "kind": options["snipe"],
                "minLiquidity": options["min_liquidity"],
                "volumeFactor": options["volume_factor"],
            }
            if options["gates"]:
                order["gates"] = as_json("--gates", options["gates"])
            order["trigger"] = {name: value for name, value in trigger.items() if value is not None}
        return {name: value for name, value in order.items() if value is not None}

    def watch(self, order_id: str, *, as_json: bool) -> None:
        order: dict[str, Any] = {}
        events: list[dict[str, Any]] = []
        with Live(console=self.console, refresh_per_second=12, transient=False, auto_refresh=not as_json) as live:
            for message in self.client.stream(f"/ws/{order_id}"):
                if message["type"] == "snapshot":
                    order = message["order"]
                    events += message["events"]
                else:
                    events.append(message)
                if as_json:
                    self.out(message)
                else:
                    live.update(progress(order, events, final=is_final(events[-1]["status"])))
        status = events[-1]["status"]
        if status != "confirmed":
            raise CommandError(f"the order is {status}", returncode=NOT_CONFIRMED)


def as_json(option: str, text: str) -> Any:
    """Raises `CommandError`."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandError(f"{option}: {error}", returncode=REFUSED) from None


def expiry(text: str | None) -> str | None:
    if text is None:
        return None
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit()) or unit not in UNITS_S or len(number) > 9:
        raise CommandError("--expires-in is a whole number and s, m, h or d: 15m", returncode=REFUSED)
    try:
        return (datetime.now(UTC) + timedelta(seconds=int(number) * UNITS_S[unit])).isoformat()
    except OverflowError:
        raise CommandError(f"--expires-in {text} is beyond the year 9999", returncode=REFUSED) from None
