"""An order's stages and lists of orders, drawn for a terminal."""

from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

STYLES = {
    "pending": "yellow",
    "routing": "cyan",
    "building": "cyan",
    "submitted": "cyan",
    "confirmed": "green",
    "failed": "bold red",
    "cancelled": "dim",
    "expired": "dim",
}
ROOMY = 116
SHOWN = 24
"""Characters of a signature that are enough to know it again."""
WORTH_SAYING = (
    "reason",
    "venue",
    "minOut",
    "maxIn",
    "signature",
    "executedPrice",
    "amountIn",
    "amountOut",
    "txHash",
    "slot",
    "trigger",
    "retryInMs",
)


def wish(order: dict[str, Any]) -> str:
    sold, bought = order["tokenIn"], order["tokenOut"]
    if order.get("exactOut"):
        text = f"{sold} → {order['exactOut']} {bought}"
    else:
        asked = order["amount"] if isinstance(order["amount"], str) else f"{order['amount']['percent']} % of"
        text = f"{asked} {sold} → {bought}"
    if order["type"] == "limit":
        return f"{text}, {'≤' if order['triggerCondition'] == 'lte' else '≥'} {order['limitPrice']}{unit(order)}"
    return f"{text}, sniper: {order['trigger']['kind']}" if order.get("trigger") else text


def unit(order: dict[str, Any]) -> str:
    """Says what the limit counts, where that is not what the order gets."""
    return f" {order['tokenIn']} per {order['tokenOut']}" if order.get("priceIn") == "tokenIn" else ""


def moment(at: str) -> datetime:
    return datetime.fromisoformat(at)


def said(data: dict[str, Any]) -> str:
    if error := data.get("error"):
        again = f"; again in {data['retryInMs']} ms" if "retryInMs" in data else ""
        return f"{error['code']}: {error['message']}{again}"
    if data.get("resting"):
        return "waits for its trigger"
    return ", ".join(f"{name} {short(data[name])}" for name in WORTH_SAYING if name in data)


def short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 2 * SHOWN or " " in text else f"{text[:SHOWN]}…"


def stages(events: list[dict[str, Any]], *, final: bool) -> RenderableType:
    """A line a stage, with the time since the one before; the present one turns."""
    table = Table.grid(padding=(0, 2))
    for n, event in enumerate(events):
        last = n == len(events) - 1
        since = (moment(event["at"]) - moment(events[max(0, n - 1)]["at"])).total_seconds()
        mark: RenderableType = Spinner("dots") if last and not final else Text("✓", style="green")
        if event["status"] in ("failed", "cancelled", "expired"):
            mark = Text("✗", style="red")
        table.add_row(
            mark, Text(event["status"], style=STYLES[event["status"]]), f"+{since:.2f} s", said(event["data"])
        )
    return table


def progress(order: dict[str, Any], events: list[dict[str, Any]], *, final: bool) -> RenderableType:
    mode = order.get("mode") or "mock"
    head = Text(f"{order['orderId']}  {wish(order)}", style="bold")
    if mode != "mock":
        head.append(f"  {mode}", style="bold red" if mode == "mainnet" else "cyan")
    return Group(head, stages(events, final=final))


def order_table(orders: list[dict[str, Any]], width: int) -> Table:
    """Ids in full, for they are copied; the time only where there is room for it."""
    wide = width >= ROOMY
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("placed", "id", "order", "status", "result")[not wide :]:
        table.add_column(name, no_wrap=name in ("placed", "id", "status"))
    for order in orders:
        status = "resting" if order["resting"] else order["status"]
        result = f"{order['amountOut']} {order['tokenOut']}, {order['venue']}" if order["amountOut"] else ""
        if order["failure"]:
            result = order["failure"]["code"]
        cells = [f"{moment(order['createdAt']).astimezone():%m-%d %H:%M:%S}"] if wide else []
        table.add_row(*cells, order["orderId"], wish(order), Text(status, style=STYLES[order["status"]]), result)
    return table
