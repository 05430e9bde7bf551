"""Methods about the node, slots and blocks."""

from typing import Any

from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from localnet.chain import WINDOW
from localnet.node import VERSION, Config, Node, RpcError, option, written

METHODS = (
    "getHealth",
    "getVersion",
    "getIdentity",
    "getGenesisHash",
    "getSlot",
    "getBlockHeight",
    "getEpochInfo",
    "getLatestBlockhash",
    "isBlockhashValid",
    "getRecentPrioritizationFees",
    "getBlock",
    "getBlocks",
    "getBlockTime",
    "getFirstAvailableBlock",
    "minimumLedgerSlot",
    "getTransactionCount",
)
SLOTS_IN_EPOCH = 432_000


def getHealth(node: Node) -> Any:
    return "ok"


def getVersion(node: Node) -> Any:
    return {"solana-core": VERSION, "feature-set": 1}


def getIdentity(node: Node) -> Any:
    return {"identity": str(node.chain.faucet.pubkey())}


def getGenesisHash(node: Node) -> Any:
    return node.chain.genesis_hash


def getSlot(node: Node, config: Config = None) -> Any:
    with node.answering():
        return node.slot(config)


def getBlockHeight(node: Node, config: Config = None) -> Any:
    with node.answering():
        return node.height(config)


def getEpochInfo(node: Node, config: Config = None) -> Any:
    """Slot and height of one moment."""
    slot = node.slot(config)
    return {
        "absoluteSlot": slot,
        "blockHeight": node.height(config),
        "epoch": slot // SLOTS_IN_EPOCH,
        "slotIndex": slot % SLOTS_IN_EPOCH,
        "slotsInEpoch": SLOTS_IN_EPOCH,
        "transactionCount": node.chain.submissions,
    }


def getLatestBlockhash(node: Node, config: Config = None) -> Any:
    height = node.chain.at(option(config, "commitment"))
    blockhash = next(name for name, at in reversed(node.chain.window.items()) if at <= height)
    return node.wrap({"blockhash": blockhash, "lastValidBlockHeight": node.chain.window[blockhash] + WINDOW}, config)


def isBlockhashValid(node: Node, blockhash: str, config: Config = None) -> Any:
    return node.wrap(node.chain.is_valid(blockhash, option(config, "commitment")), config)


def getRecentPrioritizationFees(node: Node, addresses: list[str] | None = None) -> Any:
    """The least price of the last 150 blocks' transactions that write all of the accounts."""
    wanted = set(addresses or ())
    found = []
    for slot, bids in node.chain.bids:
        prices = [price for price, accounts in bids if wanted <= {str(account) for account in accounts}]
        found.append({"slot": slot, "prioritizationFee": min(prices, default=0)})
    return found


def getBlock(node: Node, slot: int, config: Config = None) -> Any:
    found = node.chain.store.of_slot(slot)
    if found is None or found[0].height > node.chain.at(option(config, "commitment")):
        raise RpcError(-32007, f"Slot {slot} was skipped, or missing due to ledger jump to recent snapshot")
    block, transactions = found
    encoding = option(config, "encoding") or "json"
    return {
        "blockHeight": block.height,
        "blockTime": block.at,
        "blockhash": block.blockhash,
        "parentSlot": slot - 1,
        "previousBlockhash": next((name for name, at in node.chain.window.items() if at == block.height - 1), ""),
        "rewards": [],
        "transactions": [
            {"transaction": written(raw, encoding), "meta": meta, "version": version_of(raw)}
            for raw, meta in transactions
        ],
    }


def version_of(raw: bytes) -> Any:
    return 0 if isinstance(VersionedTransaction.from_bytes(raw).message, MessageV0) else "legacy"


def getBlocks(node: Node, first: int, last: int | None = None, config: Config = None) -> Any:
    return node.chain.store.slots(first, min(last or node.slot(config), node.slot(config)))


def getBlockTime(node: Node, slot: int) -> Any:
    found = node.chain.store.of_slot(slot)
    return None if found is None else found[0].at


def getFirstAvailableBlock(node: Node) -> Any:
    return next(iter(node.chain.slots.values()))


minimumLedgerSlot = getFirstAvailableBlock


def getTransactionCount(node: Node, config: Config = None) -> Any:
    return node.chain.submissions
