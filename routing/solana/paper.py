"""Trading on paper: the same quotes, instructions, checks and validity as on the live cluster, and nothing that could land there.

A paper transaction carries no signature. When it lands is as on the chain, at the live offer of that moment, against what its
wallet holds on paper (`routing.paper`). No key is read, and nothing is sent to a node.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import psycopg
from solders.hash import Hash
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey

from routing.balances import Holding
from routing.paper import Known, Move, Outcome, PaperStore
from routing.selection import EXACT
from routing.signer import Signer
from routing.solana.accounts import Account, Accounts
from routing.solana.addresses import SIGNATURE_LAMPORTS, TOKEN, WRAPPED_SOL
from routing.solana.blockhash import Blockhash
from routing.solana.builder import SIMULATED_UNITS, Assemble, Builder, Built
from routing.solana.chain import POLL_S, SolanaChain
from routing.solana.failures import INSUFFICIENT_FUNDS
from routing.solana.nodes import NO_ANSWER, Nodes
from routing.solana.programs import SLIPPAGE_EXCEEDED
from routing.solana.safety import Asked, inspect
from routing.solana.statuses import FINAL, Epoch
from routing.solana.transaction import Tables
from routing.solana.venues.funding import Funding
from routing.tokens import Tokens
from routing.values import SOL_DECIMALS, Bid, Fate, Fee, Fill, Pair, Quote, Swap, SwapStatus, Token, VenueName
from routing.venue import NOT_HEARD, SubmitUnknown, VenueError, VenueUnavailable

SOL = str(WRAPPED_SOL)
PREFIX = "paper-"
"""Of what stands for a signature: nobody takes it for one."""
LANDS_AFTER_S = 0.5
"""From sending to landing: about a slot."""
Offer = Callable[[VenueName, Pair, Decimal, bool], Awaitable[Quote]]
"""(venue, pair, amount, whether that is of tokenOut) → what it offers now."""


class PaperTransaction(msgspec.Struct, frozen=True):
    """What is committed in the place of a signed transaction. Amounts in base units."""

    wallet: str
    sold: str
    bought: str
    amount: int
    """See `Asked`."""
    least: int
    lamports: int
    """What the chain would take."""
    message: bytes
    """The message that a signature would have made a transaction."""
    exact_out: bool = False


class PaperBuilder(Builder):
    """Assembles and inspects as on the live cluster. Its wallet is not there, so nothing is simulated; and nothing is signed."""

    async def _tried(
        self, asked: Asked, assemble: Assemble, tables: Tables, price: int
    ) -> tuple[Blockhash, MessageV0, int]:
        blockhash = await self._blockhashes.latest()
        message = assemble(blockhash, SIMULATED_UNITS, price)
        inspect(message, asked, self._programs, tables)
        return blockhash, message, SIMULATED_UNITS

    async def _sealed(self, message: MessageV0, blockhash: Blockhash, asked: Asked, signer: Signer, bid: Bid) -> Built:
        body = to_bytes_versioned(message)
        wallet, sold, bought = (str(each) for each in (asked.wallet, asked.sold, asked.bought))
        made = PaperTransaction(
            wallet, sold, bought, asked.amount, asked.least, bid.lamports, body, exact_out=asked.exact_out
        )
        name = f"{PREFIX}{Hash(hashlib.sha256(body).digest())}"
        return Built(name, msgspec.json.encode(made), blockhash.last_valid_height, blockhash.valid_until, bid)


class PaperFunding(Funding):
    """Every account of a paper wallet is there."""

    async def _known(self, address: Pubkey) -> Account | None:
        return Account(TOKEN, b"", 0, datetime.now(UTC))


class PaperBalances:
    """See `routing.balances.Balances`."""

    def __init__(self, nodes: Nodes, store: PaperStore) -> None:
        self._nodes, self._store = nodes, store

    async def spendable(self, wallet: str, token: Token, *, at_least: int = 0) -> Holding:
        """See `Balances`. All SOL are lamports."""
        [held] = await self.all([wallet])
        tokens = {SOL: 0, token.mint: 0 if token.mint == SOL else held.tokens.get(token.mint, 0)}
        return Holding(max(held.slot, at_least), held.lamports, tokens)

    async def all(self, wallets: Sequence[str]) -> list[Holding]:
        """See `Balances`."""
        try:
            slot = await self._nodes.read(int, "getSlot", {"commitment": FINAL})
            held = await asyncio.to_thread(self._store.holdings, wallets)
        except (*NO_ANSWER, psycopg.Error) as error:
            raise VenueUnavailable(f"balances are not known: {str(error).strip()}") from error
        of_each = [dict(held[wallet]) for wallet in wallets]
        return [Holding(slot, each.pop(SOL, 0), each) for each in of_each]


class PaperChain(SolanaChain):
    """`offer` asks a venue what it pays now. The fate of a transaction is decided by whoever asks for it first."""

    def __init__(
        self, nodes: Nodes, accounts: Accounts, store: PaperStore, offer: Offer, tokens: Callable[[], Tokens]
    ) -> None:
        super().__init__(nodes, accounts)
        self._store, self._offer, self._tokens = store, offer, tokens

    async def submit(self, swap: Swap) -> None:
        """See `Chain`."""
        try:
            await asyncio.to_thread(self._store.send, swap.signature, swap.reference)
        except psycopg.Error as error:
            raise SubmitUnknown(str(error).strip(), venue=swap.venue) from error

    async def status(self, swaps: Sequence[Swap]) -> list[SwapStatus]:
        """See `Chain`."""
        if not swaps:
            return []
        try:
            # First the height, then what is known: see `Statuses.look`.
            epoch = await self._nodes.read(Epoch, "getEpochInfo", {"commitment": FINAL})
            known = await asyncio.to_thread(self._store.seen, [swap.signature for swap in swaps])
            return list(await asyncio.gather(*(self._one(swap, known.get(swap.signature), epoch) for swap in swaps)))
        except (*NO_ANSWER, psycopg.Error) as error:
            raise VenueUnavailable(str(error).strip()) from error

    async def wait(self, swap: Swap, *, timeout_s: float) -> SwapStatus:
        """See `Chain`."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout_s
        while True:
            [status] = await self.status([swap])
            left = ends - loop.time()
            if status.fate is not Fate.PENDING or left <= 0:
                return status
            await asyncio.sleep(min(POLL_S, left))

    async def close(self) -> None:
        """See `Chain`."""
        await super().close()
        await asyncio.to_thread(self._store.close)

    async def _one(self, swap: Swap, known: Known | None, epoch: Epoch) -> SwapStatus:
        store, signature = self._store, swap.signature
        expired = epoch.block_height > swap.validity
        if known is None:
            if not expired:
                return SwapStatus(signature, Fate.PENDING)
            await asyncio.to_thread(store.bury, signature, swap.reference)
        elif known.fate is not None:
            return known.status(signature)
        elif expired:
            await asyncio.to_thread(store.settle, signature, Fate.EXPIRED, Outcome())
        elif known.age_s >= LANDS_AFTER_S:
            await self._land(swap, epoch.absolute_slot)
        else:
            return known.status(signature)
        return (await asyncio.to_thread(store.seen, [signature]))[signature].status(signature)

    async def _land(self, swap: Swap, slot: int) -> None:
        """At what the venue pays now. Undecided while it does not answer."""
        made = msgspec.json.decode(swap.payload, type=PaperTransaction)
        pair = self._tokens().pair(made.sold, made.bought)
        if pair is None:
            return
        try:
            exact = made.least if made.exact_out else made.amount
            of = pair.token_out if made.exact_out else pair.token_in
            offer = await self._offer(swap.venue, pair, Decimal(exact).scaleb(-of.decimals), made.exact_out)
        except VenueError as error:
            if error.code in NOT_HEARD:
                return
            return await self._revert(swap, made, error.code, str(error))
        taken = int(offer.amount_in.scaleb(pair.token_in.decimals))
        paid = int(offer.amount_out.scaleb(pair.token_out.decimals))
        if paid < made.least:
            return await self._revert(swap, made, SLIPPAGE_EXCEEDED, f"{paid} base units, {made.least} are the least")
        if taken > made.amount:
            return await self._revert(swap, made, SLIPPAGE_EXCEEDED, f"{taken} base units, {made.amount} are the most")
        move = Move(made.wallet, [(made.sold, taken), (SOL, made.lamports)], [(made.bought, paid)])
        fill = _fill(swap, pair, offer, made, slot)
        if not await asyncio.to_thread(self._store.settle, swap.signature, Fate.LANDED, Outcome(fill=fill), move):
            await self._revert(swap, made, INSUFFICIENT_FUNDS, "the wallet holds too little on paper")

    async def _revert(self, swap: Swap, made: PaperTransaction, code: str, message: str) -> None:
        """It pays its fee, as far as there is one to take."""
        outcome, fee = Outcome(error=code, message=message), Move(made.wallet, [(SOL, made.lamports)])
        for move in (fee, None):
            if await asyncio.to_thread(self._store.settle, swap.signature, Fate.REVERTED, outcome, move):
                return


def _fill(swap: Swap, pair: Pair, offer: Quote, made: PaperTransaction, slot: int) -> Fill:
    """The venue's fee is told in what was bought, by its rate."""
    unit = Decimal(1).scaleb(-pair.token_out.decimals)
    fee = (offer.amount_out * offer.fee_bps / (10_000 - offer.fee_bps)).quantize(unit)
    network = min(made.lamports, SIGNATURE_LAMPORTS)
    fees = [Fee("venue", made.bought, fee)] if fee else []
    for kind, lamports in (("network", network), ("priority", made.lamports - network)):
        if lamports:
            fees.append(Fee(kind, SOL, Decimal(lamports).scaleb(-SOL_DECIMALS)))  # type: ignore[arg-type]
    return Fill(
        signature=swap.signature,
        amount_out=offer.amount_out,
        executed_price=EXACT.divide(offer.amount_out, offer.amount_in),
        fee=fee,
        landed_at=datetime.now(UTC),
        amount_in=offer.amount_in,
        slot=slot,
        fees=tuple(fees),
        parts=offer.parts,
    )
