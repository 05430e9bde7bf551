"""Which cluster a mode is on: its genesis hash, which no node can be talked out of."""

import json
from functools import cache
from pathlib import Path

from django.conf import settings

from routing.http import NoAnswer, RpcError, rpc

GENESIS = {
    "devnet": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
    "mainnet": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
}
"""https://solana.com/docs/references/clusters; a localnet draws its own at its first start."""
TESTNET = "4uhcVJyU9pJkvQyUS88uRDiswHXSCkY3zQawwpjk2NsY"
PUBLIC = frozenset({*GENESIS.values(), TESTNET})
"""No localnet has one of these. Whoever sets `RPC_URLS` to a public node by mistake must not sign there."""
ASK_TIMEOUT_S = 2.0
PAPER = "paper-"
MAX_NAME = 44
"""Of a cluster, as a wallet's row has it; what is cut off a genesis hash of that length leaves it as telling as before."""


class ClusterUnknown(Exception):
    """No node says yet which cluster it is of, or it is not of the one that the mode says."""


def mode() -> str:
    """What orders, wallets and prices of this process are marked with: `EXECUTION_MODE`, and whether it is on paper."""
    return f"{PAPER}{settings.EXECUTION_MODE}" if settings.PAPER else str(settings.EXECUTION_MODE)


def wallets_cluster() -> str | None:
    """Where this process' wallets are: `cluster`, or on paper a name that no cluster has, so that neither signs for the other.

    Raises `ClusterUnknown`.
    """
    found = cluster()
    return None if found is None else f"{PAPER}{found}"[:MAX_NAME] if settings.PAPER else found


@cache
def cluster() -> str | None:
    """The genesis hash of this process' mode; None on the mock, which is no cluster. Blocks at first use.

    Raises `ClusterUnknown` while a localnet of elsewhere does not answer, and where its nodes are of a public cluster.
    """
    mode = settings.EXECUTION_MODE
    return None if mode == "mock" else GENESIS.get(mode) or _of_localnet(settings.DATA_DIR, settings.RPC_URLS)


def _of_localnet(data_dir: Path, rpc_urls: list[str]) -> str:
    try:
        return str(json.loads((data_dir / "run" / "localnet.json").read_text())["genesisHash"])
    except (OSError, ValueError, KeyError):
        pass  # It is not of this folder: its nodes know.
    for url in rpc_urls:
        try:
            found = str(rpc(url, "getGenesisHash", timeout_s=ASK_TIMEOUT_S, type_=str))
        except (NoAnswer, RpcError):
            continue
        if found in PUBLIC:
            raise ClusterUnknown("EXECUTION_MODE=localnet, but RPC_URLS names a node of a public cluster")
        return found
    raise ClusterUnknown("no node says yet which cluster it is of")
