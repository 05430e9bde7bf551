"""What a wallet has free for an order, decided and reserved: at most one process at a time does so for a wallet.

The balances come from the chain, before the lock is taken; what other orders in work may still spend comes from the table,
under the lock. Together they are exact by slots: spending that landed by the balances' slot is in them, all other spending is
reserved.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from orders.ledger.queries import query
from orders.ledger.statements import Connection
from routing.balances import Holding
from routing.values import Swap, Validity, VenueName

LOCK_WALLETS, RESERVED, RESERVE = query("lock_wallets"), query("reserved"), query("reserve")
UNRESOLVED = query("unresolved")
SOL = "So11111111111111111111111111111111111111112"
"""Mint of wrapped SOL. What is sold of it may be wrapped in the same transaction, so lamports count as well."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What an order wants of its wallet. Amounts in base units."""

    order_id: UUID
    epoch: int
    account_id: int
    wallet: str
    mint: str
    units: int | None
    """None: `percent` of what is free."""
    percent: int | None
    lamports: int
    """What it may pay the chain."""
    holding: Holding
    not_counted: tuple[UUID, ...] = ()
    """Orders whose transactions have landed by the holding's slot, or never will."""


class Granted(msgspec.Struct, frozen=True):
    units: int


class Short(msgspec.Struct, frozen=True):
    """Too little is free."""

    mint: str
    have: int
    need: int
    unsure: bool
    """It would do if some transaction under way has landed already, or never does: the chain knows."""


class Behind(msgspec.Struct, frozen=True):
    """The wallet's balances were looked at as of a later slot before: look again."""

    slot: int


class NotInUse(msgspec.Struct, frozen=True):
    """The wallet is retired, or another account's."""


Outcome = Granted | Short | Behind | NotInUse


class Held(msgspec.Struct):
    """What is reserved of a wallet's token, or of its lamports."""

    units: int = 0
    unsure: int = 0


def reserve(connection: Connection, asks: Sequence[Ask], *, sol_reserve: int) -> list[Outcome]:
    """One transaction for all; `sol_reserve`: lamports that every wallet keeps. Safe to be done again."""
    wallets = sorted({ask.wallet for ask in asks})
    with connection.transaction():
        found = connection.execute(LOCK_WALLETS, {"wallets": wallets}, prepare=True).fetchall()
        known = {address: account_id for address, account_id, _ in found}
        slots = {address: slot for address, _, slot in found}
        for ask in asks:  # All of a wallet are decided as of one slot.
            slots[ask.wallet] = max(slots.get(ask.wallet, 0), ask.holding.slot)
        outcomes = [checked(ask, known.get(ask.wallet), slots[ask.wallet]) for ask in asks]
        open_ = [ask for ask, outcome in zip(asks, outcomes, strict=True) if outcome is None]
        slots = {ask.wallet: ask.holding.slot for ask in open_}
        looked = {"wallets": list(slots), "slots": list(slots.values())}
        not_counted = {order_id for ask in open_ for order_id in (ask.order_id, *ask.not_counted)}
        rows = connection.execute(RESERVED, looked | {"not_counted": list(not_counted)}, prepare=True).fetchall()
        held: dict[tuple[str, str], Held] = {}
        fees: dict[str, Held] = {}
        for wallet, mint, units, lamports, unsure_units, unsure_lamports in rows:
            held[wallet, mint] = Held(int(units), int(unsure_units))
            fee = fees.setdefault(wallet, Held())
            fee.units, fee.unsure = fee.units + lamports, fee.unsure + unsure_lamports
        for place, ask in enumerate(asks):
            if outcomes[place] is None:
                token, sol = (held.setdefault((ask.wallet, mint), Held()) for mint in (ask.mint, SOL))
                outcomes[place] = decided(ask, token, sol, fees.setdefault(ask.wallet, Held()), sol_reserve)
        done = [outcome for outcome in outcomes if outcome is not None]
        granted = [
            (ask, outcome.units) for ask, outcome in zip(asks, done, strict=True) if isinstance(outcome, Granted)
        ]
        connection.execute(RESERVE, looked | columns(granted), prepare=True)
    return done


def columns(granted: Sequence[tuple[Ask, int]]) -> dict[str, list[Any]]:
    return {
        "ids": [ask.order_id for ask, _ in granted],
        "epochs": [ask.epoch for ask, _ in granted],
        "of_wallets": [ask.wallet for ask, _ in granted],
        "mints": [ask.mint for ask, _ in granted],
        "units": [units for _, units in granted],
        "lamports": [ask.lamports for ask, _ in granted],
    }


def checked(ask: Ask, account_id: int | None, slot: int) -> Outcome | None:
    if account_id != ask.account_id:
        return NotInUse()
    return Behind(slot) if ask.holding.slot < slot else None


def decided(ask: Ask, token: Held, sol: Held, fees: Held, sol_reserve: int) -> Outcome:
    """What the order gets, beside what is reserved already; a grant is added to that. Pure.

    The wallet's lamports pay fees and rent. SOL that is sold comes out of wrapped SOL first; what is missing there is wrapped
    out of the lamports.
    """
    wrapped, lamports = ask.holding.tokens.get(SOL, 0), ask.holding.lamports - sol_reserve - fees.units
    left = lamports - max(0, sol.units - wrapped)
    if left < ask.lamports:
        return Short(SOL, max(0, left), ask.lamports, left + fees.unsure + sol.unsure >= ask.lamports)
    free, unsure = ask.holding.tokens.get(ask.mint, 0) - token.units, token.unsure
    if ask.mint == SOL:
        free, unsure = wrapped - sol.units + lamports - ask.lamports, sol.unsure + fees.unsure
    if ask.percent is not None:
        if unsure:
            return Short(ask.mint, max(0, free), 0, True)
        units = max(0, free) * ask.percent // 100
        if not units:
            return Short(ask.mint, 0, 0, False)
    else:
        assert ask.units is not None
        units = ask.units
    if free < units:
        return Short(ask.mint, max(0, free), units, free + unsure >= units)
    token.units += units
    fees.units += ask.lamports
    return Granted(units)


def unresolved(connection: Connection, wallet: str) -> list[tuple[UUID, Swap]]:
    """The intents of the wallet's orders in work whose outcome is not recorded yet."""
    rows = connection.execute(UNRESOLVED, {"wallet": wallet}).fetchall()
    return [
        (
            order_id,
            Swap(
                str(order_id),
                attempt,
                VenueName(venue),
                signature,
                bytes(payload),
                min_out,
                valid_until,
                Validity(validity),
                wallet,
            ),
        )
        for order_id, signature, attempt, venue, payload, min_out, valid_until, validity in rows
    ]
