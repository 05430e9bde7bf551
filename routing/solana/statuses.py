"""What became of transactions, and the proof that one can land no more."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from routing.solana.accounts import Accounts
from routing.solana.failures import failure
from routing.solana.fill import Landed, Meta, Swapped, Traded, VenueFee, fill_of, reserves, traded
from routing.solana.nodes import NO_ANSWER, At, Nodes
from routing.solana.pools import CPMM, DAMM, Curve, NotQuotable
from routing.values import Fate, Swap, SwapStatus

log = logging.getLogger(__name__)
MAX_SIGNATURES = 256
"""Of one `getSignatureStatuses`."""
FINAL = "finalized"
CONFIG_AGE_S = 600.0


class Epoch(msgspec.Struct, rename="camel"):
    """A slot and the height of its block, of one moment: a slot is no height."""

    absolute_slot: int
    block_height: int


class _Seen(msgspec.Struct, rename="camel"):
    err: Any = None
    confirmation_status: str | None = None


class Statuses:
    def __init__(self, nodes: Nodes, accounts: Accounts) -> None:
        self._nodes, self._accounts = nodes, accounts

    async def look(self, swaps: Sequence[Swap]) -> list[SwapStatus]:
        """The fate of each, in order. Raises `RpcError`, `NoAnswer`.

        `EXPIRED` is proved: a finalized slot S has a height above the last valid one, and a node that has seen S or more,
        and looks into its history, finds nothing. Without the second condition a node that is behind calls a transaction
        expired that has landed.
        """
        if not swaps:
            return []
        # First the height, then the statuses: what is not there afterwards was not there at that height.
        epoch: Epoch = await self._nodes.read(Epoch, "getEpochInfo", {"commitment": FINAL})
        parts = [swaps[start : start + MAX_SIGNATURES] for start in range(0, len(swaps), MAX_SIGNATURES)]
        found = await asyncio.gather(*(self._part(part, epoch) for part in parts))
        return [status for part in found for status in part]

    async def _part(self, swaps: Sequence[Swap], epoch: Epoch) -> list[SwapStatus]:
        signatures = [swap.signature for swap in swaps]
        answer: At[list[_Seen | None]] = await self._nodes.read(
            At[list[_Seen | None]], "getSignatureStatuses", signatures, {"searchTransactionHistory": True}
        )
        caught_up = answer.context.slot >= epoch.absolute_slot
        return await asyncio.gather(
            *(
                self._fate(swap, seen, expired=caught_up and epoch.block_height > swap.validity)
                for swap, seen in zip(swaps, answer.value, strict=True)
            )
        )

    async def _fate(self, swap: Swap, seen: _Seen | None, *, expired: bool) -> SwapStatus:
        if seen is None:
            return SwapStatus(swap.signature, Fate.EXPIRED if expired else Fate.PENDING)
        if seen.confirmation_status != FINAL:
            return SwapStatus(swap.signature, Fate.PENDING)
        return await self.landed(swap)

    async def landed(self, swap: Swap) -> SwapStatus:
        """What a transaction did that is final; `PENDING` while that cannot be told: it is no reason to leave others untold."""
        try:
            return await self._told(swap)
        except NO_ANSWER as error:
            log.warning("what became of %s cannot be asked: %s", swap.signature, error)
        except Exception:
            log.exception("what became of %s cannot be read", swap.signature)
        return SwapStatus(swap.signature, Fate.PENDING)

    async def _told(self, swap: Swap) -> SwapStatus:
        """`PENDING` while the node has not stored it yet."""
        options = {"encoding": "base64", "commitment": FINAL, "maxSupportedTransactionVersion": 1}
        found: Landed | None = await self._nodes.read(Landed | None, "getTransaction", swap.signature, options)
        if found is None:
            return SwapStatus(swap.signature, Fate.PENDING)
        of = traded(swap.payload, found.meta.loaded_addresses)
        if found.meta.err is not None:
            why = failure(found.meta.err, found.meta.log_messages, of.programs)
            return SwapStatus(swap.signature, Fate.REVERTED, None, why.code, why.message, why.logs)
        fees = [await self._venue_fee(each, of, found.meta) for each in of.swaps]
        fill = fill_of(swap.signature, of, found, [fee for fee in fees if fee is not None])
        return SwapStatus(swap.signature, Fate.LANDED, fill)

    async def _venue_fee(self, swapped: Swapped, of: Traded, meta: Meta) -> VenueFee | None:
        """What the pool took; None where it is not known."""
        held, sold, bought = reserves(swapped, of, meta), swapped.sold, swapped.bought
        change = {of.keys[each.account_index]: int(each.ui_token_amount.amount) for each in meta.post_token_balances}
        if held is None or sold.vault not in change:
            return None
        amount_in, amount_out = change[sold.vault] - held[0], held[1] - change[bought.vault]
        if swapped.program == CPMM.program and (address := swapped.swap.config) is not None:
            config = (await self._accounts.get([address], max_age_s=CONFIG_AGE_S))[address]
            if config is None:
                return None
            try:
                rate = CPMM.rate(config.data)
            except NotQuotable:
                return None
            return VenueFee(swapped, sold.mint, Curve(*held, rate, CPMM.denominator, CPMM.fee_on_output).fee(amount_in))
        if swapped.program == DAMM.program:
            gross = Curve(*held, 0, DAMM.denominator, DAMM.fee_on_output).gross(amount_in)
            return VenueFee(swapped, bought.mint, gross - amount_out)
        return None
