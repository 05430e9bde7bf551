"""Fills, positions and statements over REST."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import msgspec
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Account
from accounts.rest import IsStaff
from books.answers import (
    AccountOut,
    CancelAfterSet,
    FillsOut,
    LineOut,
    PositionsOut,
    StatementOut,
    account_out,
    lines_out,
    positions_out,
)
from books.audit import AuditedOut, audited
from books.export import csv_of, ndjson, streamed
from books.fills import ANSWER_MS, EARLIEST, LATEST, FillOut, Wanted, batches, connected, fill_out, page
from books.reading import books
from books.statement import PERIODS, Books
from books.valuation import prices
from orders.errors import invalid
from orders.http.answers import schema
from orders.http.parameters import PAGE, Parameters
from orders.http.risk import risk_out
from orders.http.view import ERRORS, IF_NONE_MATCH, LIMIT, View, polled
from orders.models import DeadMan, Order
from orders.wire import timestamp
from routing.cluster import mode
from routing.venues import named_in_fills

ORDERS = ["desc", "asc"]
LONGEST = {"day": timedelta(days=366), "hour": timedelta(days=31)}
"""Of a statement."""
DEFAULT = {"day": timedelta(days=30), "hour": timedelta(days=1)}
WHICH = [
    OpenApiParameter("from", OpenApiTypes.DATETIME, description="Recorded then or later"),
    OpenApiParameter("to", OpenApiTypes.DATETIME, description="Recorded before"),
    OpenApiParameter("token", description="Sold or bought; a symbol in any case, or a mint"),
    OpenApiParameter("pair", description="`SOL-USDC`: sold for; symbols in any case, or mints"),
    OpenApiParameter("venue"),
    OpenApiParameter("mode", description="`EXECUTION_MODE` of the order; all by default"),
]
NAMES = frozenset({"from", "to", "token", "pair", "venue", "mode"})
PERIOD = [
    OpenApiParameter("from", OpenApiTypes.DATETIME, description="Its day or hour is the first"),
    OpenApiParameter("to", OpenApiTypes.DATETIME, description="Its day or hour is the last one; now by default"),
    OpenApiParameter("every", enum=list(PERIODS), description="`day` (UTC) by default"),
]


def wanted(asked: Parameters, account_id: int) -> Wanted:
    return Wanted(
        account_id=account_id,
        since=asked.moment("from") or EARLIEST,
        until=asked.moment("to") or LATEST,
        mode=asked.text("mode"),
        venue=asked.one_of("venue", [str(venue) for venue in named_in_fills()]),
        token=asked.token("token"),
        pair=asked.pair("pair"),
    )


class FillsView(View):
    accepts = {"GET": NAMES | {"order", "cursor", "limit"}}

    @extend_schema(
        operation_id="fills_list",
        parameters=[
            *WHICH,
            OpenApiParameter("order", enum=ORDERS, description="By time; `desc` by default"),
            OpenApiParameter("cursor", OpenApiTypes.UUID, description="`next` of the page before"),
            OpenApiParameter("limit", LIMIT, description=f"{PAGE} by default"),
            IF_NONE_MATCH,
        ],
        responses={200: schema(FillsOut), 304: None, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """What the account's orders traded, once each, newest first unless `order=asc`."""
        asked, limit = self.asked, self.asked.limit()
        which, newest = wanted(asked, request.auth.account_id), asked.one_of("order", ORDERS) != "asc"
        found = page(which, limit=limit + 1, newest=newest, cursor=asked.uuid("cursor"))
        following = str(found[limit - 1].id) if len(found) > limit else None
        return polled(request, FillsOut([fill_out(fill) for fill in found[:limit]], following))


class Anything(BaseContentNegotiation):  # type: ignore[misc]
    """The path says the form of the answer; errors are JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class Exported(View):
    content_negotiation_class = Anything


class FillsCsvView(Exported):
    accepts = {"GET": NAMES}

    @extend_schema(
        operation_id="fills_csv", parameters=WHICH, responses={(200, "text/csv"): OpenApiTypes.STR, **ERRORS}
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """All fills of a range, the oldest first, as CSV with a header."""
        which = wanted(self.asked, request.auth.account_id)
        return streamed(lambda: csv_of(FillOut, all_fills(which)), "text/csv; charset=utf-8", "fills.csv")


class FillsNdjsonView(Exported):
    accepts = {"GET": NAMES}

    @extend_schema(
        operation_id="fills_ndjson",
        parameters=WHICH,
        responses={(200, "application/x-ndjson"): schema(FillOut), **ERRORS},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """All fills of a range, the oldest first, one JSON object a line."""
        which = wanted(self.asked, request.auth.account_id)
        return streamed(lambda: ndjson(all_fills(which)), "application/x-ndjson", "fills.ndjson")


def all_fills(which: Wanted) -> Iterator[Iterator[FillOut]]:
    with connected() as connection:
        for batch in batches(connection, which):
            yield map(fill_out, batch)


class PositionsView(View):
    accepts = {"GET": frozenset()}

    @extend_schema(operation_id="positions", responses={200: schema(PositionsOut), **ERRORS})
    def get(self, request: Request) -> Response:
        """The account's positions by average cost, with what is realised and, at present prices, unrealised."""
        found = all_time(request.auth.account_id)
        now = datetime.now(UTC)
        priced = prices(found.positions.items())
        return Response(PositionsOut(mode(), timestamp(now), positions_out(found, priced)))


class AccountView(View):
    @extend_schema(operation_id="account", responses={200: schema(AccountOut), **ERRORS})
    def get(self, request: Request) -> Response:
        """The account in sums: its mode, trading state, limits and what is used of them, when its orders are cancelled unless it
        says so again, fills, open orders, profit and loss by quote token, fees by kind and token."""
        account_id = request.auth.account_id
        found = all_time(account_id)
        open_orders = Order.objects.filter(account_id=account_id, finished_at=None).count()
        now = datetime.now(UTC)
        priced = prices(found.positions.items())
        told = account_out(risk_out(account_id), mode(), now, open_orders, found, priced)
        return Response(msgspec.structs.replace(told, cancel_after=cancel_after_out(account_id)))


def cancel_after_out(account_id: int) -> CancelAfterSet | None:
    found = DeadMan.objects.filter(account_id=account_id).first()
    return None if found is None else CancelAfterSet(timestamp(found.at), found.scope)


def all_time(account_id: int) -> Books:
    with connected(timeout_ms=ANSWER_MS) as connection:
        return books(connection, account_id, mode())


class StatementView(View):
    accepts = {"GET": frozenset({"from", "to", "every"})}

    @extend_schema(operation_id="statement", parameters=PERIOD, responses={200: schema(StatementOut), **ERRORS})
    def get(self, request: Request) -> Response:
        """What each position did on each UTC day (or hour): opening, bought, sold, closing, realised, fees."""
        since, until, every = span(self.asked)
        lines = stated(request.auth.account_id, since, until, every)
        return Response(StatementOut(mode(), every, timestamp(since), timestamp(until), lines))  # type: ignore[arg-type]


class StatementCsvView(Exported):
    accepts = StatementView.accepts

    @extend_schema(
        operation_id="statement_csv", parameters=PERIOD, responses={(200, "text/csv"): OpenApiTypes.STR, **ERRORS}
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """The same as CSV with a header."""
        since, until, every = span(self.asked)
        account_id = request.auth.account_id
        lines = lambda: csv_of(LineOut, [stated(account_id, since, until, every)])  # noqa: E731
        return streamed(lines, "text/csv; charset=utf-8", f"statement-{since:%Y%m%d}.csv")


def span(asked: Parameters) -> tuple[datetime, datetime, str]:
    """Whole periods: (begin of the first, end of the last, day or hour)."""
    every = asked.one_of("every", list(PERIODS)) or "day"
    step = timedelta(days=1) if every == "day" else timedelta(hours=1)
    last = asked.moment("to") or datetime.now(UTC)
    first = asked.moment("from") or max(last - DEFAULT[every], EARLIEST)
    if first > last:
        raise invalid("from", "must not be after `to`")
    if last - first > LONGEST[every]:
        raise invalid("from", f"must be at most {LONGEST[every].days} days before `to`")
    return begin(first, every), begin(last, every) + step, every


def begin(at: datetime, every: str) -> datetime:
    if every == "day":
        return datetime.combine(at.date(), time(), UTC)
    return at.replace(minute=0, second=0, microsecond=0)


def stated(account_id: int, since: datetime, until: datetime, every: str) -> list[LineOut]:
    with connected(timeout_ms=ANSWER_MS) as connection:
        found = books(connection, account_id, mode(), period=every, since=since, until=until)
    return lines_out(found)


class AuditView(Exported):
    permission = IsStaff
    accepts = {"GET": frozenset({"from", "to", "account"})}

    @extend_schema(
        operation_id="audit",
        parameters=[
            OpenApiParameter("from", OpenApiTypes.DATETIME, description="Orders placed then or later"),
            OpenApiParameter("to", OpenApiTypes.DATETIME, description="Orders placed before; now by default"),
            OpenApiParameter("account", description="Its name; all by default"),
        ],
        responses={(200, "application/x-ndjson"): schema(AuditedOut), **ERRORS},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """The record of orders, one JSON object a line: events with quotes and who asked, transactions, dead letters. Staff."""
        since, until = self.asked.moment("from") or EARLIEST, self.asked.moment("to") or datetime.now(UTC)
        name = self.asked.text("account")
        if name is not None and not Account.objects.filter(name=name).exists():
            raise invalid("account", "is no account")
        return streamed(lambda: ndjson(audited(since, until, name)), "application/x-ndjson", "audit.ndjson")
