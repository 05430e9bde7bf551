"""Money for nothing, where a cluster has some to give."""

from decimal import Decimal
from typing import Protocol

import psycopg
from django.conf import settings

from routing.controls import ChainControls, InvalidMove
from routing.http import NoAnswer, RpcError, rpc
from routing.paper import PaperStore
from routing.values import SOL_DECIMALS
from routing.world import paper_store, tokens, world

ANSWER_S = 10.0


class Faucet(Protocol):
    def give(self, owner: str, token: str, amount: Decimal) -> None:
        """Blocks. Raises `InvalidMove`: nothing was given, `field` says what is at fault."""
        ...


class RpcFaucet:
    """A test cluster's own: SOL only, and only as much as it grants."""

    def __init__(self, rpc_urls: list[str]) -> None:
        self._urls = rpc_urls

    def give(self, owner: str, token: str, amount: Decimal) -> None:
        """See `Faucet`."""
        if token != "SOL":
            raise InvalidMove("token", "this cluster gives SOL only")
        lamports = int(amount.scaleb(SOL_DECIMALS))
        said = "no node answers"
        for url in self._urls:
            try:
                rpc(url, "requestAirdrop", owner, lamports, timeout_s=ANSWER_S)
                return
            except RpcError as error:
                said = str(error)
            except NoAnswer:
                continue
        raise InvalidMove("amount", f"the cluster gives nothing: {said}")


class PaperFaucet:
    """Any token, on paper."""

    def __init__(self, store: PaperStore) -> None:
        self._store = store

    def give(self, owner: str, token: str, amount: Decimal) -> None:
        """See `Faucet`."""
        found = tokens().resolve(token)
        if found is None:
            raise InvalidMove("token", "is unknown")
        try:
            self._store.give(owner, found.mint, int(amount.scaleb(found.decimals)))
        except psycopg.Error as error:
            raise InvalidMove("amount", f"Postgres does not take it: {str(error).strip()}") from None


def faucet() -> Faucet | None:
    """This process' cluster's; None where money is real, or there is none at all."""
    if settings.PAPER:
        return PaperFaucet(paper_store())
    controls = world().controls
    if isinstance(controls, ChainControls):
        return controls
    return RpcFaucet(settings.RPC_URLS) if settings.EXECUTION_MODE == "devnet" else None
