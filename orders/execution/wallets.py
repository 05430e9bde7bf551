"""What an order worker needs of wallets: signers, and funds to reserve. There is none of it on the mock."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID

from orders.execution.funds import Funds
from orders.execution.signing import PaperSigning, Signing
from orders.ledger.funds import unresolved
from orders.ledger.session import Session
from orders.ledger.values import Claimed
from orders.ledger.writers import Reserver
from routing.balances import Balances
from routing.chain import Chain
from routing.cluster import wallets_cluster
from routing.signer import Signer
from routing.values import Swap, Token
from wallets.keys.signers import Signers, close_to_debuggers

MAX_BATCH = 200


class Wallets:
    """Made on the worker's loop; closes what it opens."""

    def __init__(self, settings: Any, balances: Balances, chain: Chain) -> None:
        self._signing: Signing | PaperSigning
        if settings.PAPER:
            self._signing = PaperSigning()
        else:
            close_to_debuggers()
            self._signing = Signing(Signers(settings.WALLET_KEYS_DIR, wallets_cluster))
        self._session = Session(settings.DATABASE_URL, name="unresolved", statement_timeout_ms=5_000)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="unresolved")
        self._reserver = Reserver(
            settings.DATABASE_URL,
            sol_reserve=settings.WALLET_SOL_RESERVE,
            window_ms=settings.CLAIM_WINDOW_MS,
            max_batch=MAX_BATCH,
            capacity=2 * settings.MAX_ORDERS_IN_FLIGHT,
        )
        self._funds = Funds(
            balances,
            reserve=self._reserver.submit,
            unresolved=self._unresolved,
            status=chain.status,
            max_fee_lamports=settings.MAX_FEE_LAMPORTS,
        )

    async def signer_of(self, address: str) -> Signer:
        """See `Signing.of`."""
        return await self._signing.of(address)

    async def reserve(self, order: Claimed, token: Token, amount: Decimal | None) -> Decimal:
        """See `Funds.reserve`."""
        return await self._funds.reserve(order, token, amount)

    async def close(self) -> None:
        self._reserver.give_up()
        await self._reserver.close()
        self._thread.shutdown(wait=False)

    async def _unresolved(self, wallet: str) -> Sequence[tuple[UUID, Swap]]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._session.run, unresolved, wallet)
