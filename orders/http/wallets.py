"""An account's wallets over REST: what they hold and what orders may still spend of it. No key is near."""

from decimal import Decimal
from typing import Annotated

import msgspec
from asgiref.sync import async_to_sync
from django.db.models import QuerySet, Sum
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from orders.errors import ApiError, invalid
from orders.http.answers import AirdropOut, BalanceOut, WalletOut, WalletsOut, schema
from orders.http.view import ERROR, ERRORS, View, json_body
from orders.json_in import Reader
from orders.ledger.funds import SOL
from orders.lifecycle import Status
from orders.models import Reservation
from orders.order_in import checked_amount, positive, token
from orders.wire import text
from routing.balances import Holding
from routing.controls import InvalidMove
from routing.faucet import faucet
from routing.values import SOL_DECIMALS
from routing.venue import VenueUnavailable
from routing.world import tokens, world
from wallets.models import Wallet
from wallets.ring import in_use

IN_WORK = (Status.ROUTING, Status.BUILDING, Status.SUBMITTED)


class AirdropIn(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    amount: Decimal
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "SOL"


reader = Reader(AirdropIn)


class WalletsView(View):
    @extend_schema(responses={200: schema(WalletsOut), **ERRORS})
    def get(self, request: Request) -> Response:
        """The account's wallets in use, as of the newest block. On the mock there are none."""
        balances = world().balances
        if balances is None:
            return Response(WalletsOut([]))
        found = list(wallets_of(request))
        try:
            holdings = async_to_sync(balances.all)([wallet.address for wallet in found])
        except VenueUnavailable:
            raise ApiError("UNAVAILABLE", "No node of the chain answers just now.") from None
        reserved = reserved_of([wallet.address for wallet in found])
        return Response(WalletsOut([wallet_out(*each, reserved) for each in zip(found, holdings, strict=True)]))


class AirdropView(View):
    @extend_schema(
        request={"application/json": msgspec.json.schema(AirdropIn)["$defs"]["AirdropIn"]},
        responses={200: schema(AirdropOut), 415: ERROR, 422: ERROR, **ERRORS},
    )
    def post(self, request: Request, wallet_id: int) -> Response:
        """Money for nothing: any token on a localnet, SOL on devnet. It is there with the next block."""
        wanted: AirdropIn = reader.read(json_body(request))
        given = faucet()
        if given is None:
            raise ApiError("NOT_FOUND", "There is no faucet in this mode.")
        wallet = wallets_of(request).filter(pk=wallet_id).first()
        if wallet is None:
            raise Http404
        asked = token("token", wanted.token)
        amount = checked_amount(positive("amount", wanted.amount), asked)
        try:
            given.give(wallet.address, asked.symbol if asked.mint == SOL else asked.mint, amount)
        except InvalidMove as error:
            raise invalid(error.field, str(error)) from None
        return Response(AirdropOut(wallet.pk, wallet.address, asked.label, text(amount)))


def wallets_of(request: Request) -> QuerySet[Wallet]:
    """The caller's."""
    return in_use().filter(account_id=request.auth.account_id).order_by("-is_default", "pk")


def reserved_of(addresses: list[str]) -> dict[tuple[str, str], int]:
    """(wallet, mint) → base units that orders in work may still spend; fees count as SOL."""
    rows = Reservation.objects.filter(wallet__in=addresses, order__status__in=IN_WORK)
    found: dict[tuple[str, str], int] = {}
    for row in rows.values("wallet", "mint").annotate(all_units=Sum("units"), all_lamports=Sum("lamports")):
        for mint, units in ((row["mint"], row["all_units"]), (SOL, row["all_lamports"])):
            key = row["wallet"], mint
            found[key] = found.get(key, 0) + int(units)
    return found


def wallet_out(wallet: Wallet, holding: Holding, reserved: dict[tuple[str, str], int]) -> WalletOut:
    """SOL first, wrapped or not: an order that sells SOL takes both. Then the known tokens, then all others."""
    known = tokens()
    held = {SOL: holding.lamports} | dict.fromkeys((mint for owner, mint in reserved if owner == wallet.address), 0)
    for mint, units in holding.tokens.items():
        held[mint] = held.get(mint, 0) + units
    balances = []
    for mint, units in held.items():
        of = known.resolve(mint)
        decimals = SOL_DECIMALS if mint == SOL else holding.decimals.get(mint, 0 if of is None else of.decimals)
        amounts = (Decimal(each).scaleb(-decimals) for each in (units, reserved.get((wallet.address, mint), 0)))
        balances.append(BalanceOut(known.label(mint), mint, *(text(amount) for amount in amounts)))
    rest = sorted(balances[1:], key=lambda each: (each.token == each.mint, each.token))
    return WalletOut(wallet.pk, wallet.address, wallet.name, wallet.is_default, [balances[0], *rest])
