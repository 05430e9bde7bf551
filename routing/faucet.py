"""Money for nothing, where a cluster has some to give."""

from decimal import Decimal
from typing import Protocol

import httpx
from django.conf import settings

from routing.controls import ChainControls, InvalidMove
from routing.values import SOL_DECIMALS
from routing.world import world

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
        body = {"jsonrpc": "2.0", "id": 1, "method": "requestAirdrop", "params": [owner, lamports]}
        said = "no node answers"
        for url in self._urls:
            try:
                answer = httpx.post(url, json=body, timeout=ANSWER_S).json()
                if "result" in answer:
                    return
                said = str(answer["error"]["message"])
            except (httpx.HTTPError, ValueError, KeyError, TypeError):
                continue
        raise InvalidMove("amount", f"the cluster gives nothing: {said}")


def faucet() -> Faucet | None:
    """This process' cluster's; None where money is real, or there is none at all."""
    controls = world().controls
    if isinstance(controls, ChainControls):
        return controls
    return RpcFaucet(settings.RPC_URLS) if settings.EXECUTION_MODE == "devnet" else None
