"""Methods about transactions: send, simulate, and what became of them."""

import base64
from typing import Any

from solders.hash import Hash
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from localnet import meta
from localnet.addresses import MEMO_PROGRAMS
from localnet.blocks_api import getLatestBlockhash, version_of
from localnet.chain import RECENT, Seen
from localnet.faults import DELAY_BLOCKS, Fault
from localnet.fees import SIGNATURE_LAMPORTS, price_of
from localnet.node import Config, Node, RpcError, decoded, option, written

METHODS = (
    "getFeeForMessage",
    "getSignatureStatuses",
    "getSignaturesForAddress",
    "getTransaction",
    "requestAirdrop",
    "sendTransaction",
    "simulateTransaction",
)
MAX_STATUSES, MAX_SIGNATURES = 256, 1_000


def sendTransaction(node: Node, text: str, config: Config = None) -> Any:
    """Queues; an answer is no landing. Raises `TimeoutError` where the sender is to get no answer."""
    chain = node.chain
    transaction = decoded(text, option(config, "encoding") or "base58")
    if not all(transaction.verify_with_results()):
        raise RpcError(-32003, "Transaction signature verification failure")
    if node.takes(Fault.REFUSE):
        err = {"InstructionError": [0, {"Custom": 1}]}
        raise RpcError(
            -32002, "Transaction simulation failed: by command", {"err": err, "logs": [], "unitsConsumed": 0}
        )
    if not option(config, "skipPreflight"):
        err, logs, units, _ = preflight(node, transaction, option(config, "preflightCommitment"))
        if err is not None:
            data = {"accounts": None, "err": err, "logs": logs, "unitsConsumed": units, "returnData": None}
            raise RpcError(-32002, f"Transaction simulation failed: {err}", data)
    chain.submissions += 1
    if not node.takes(Fault.DROP):
        chain.submit(transaction, delay_blocks=DELAY_BLOCKS if node.takes(Fault.DELAY) else 0)
    if node.takes(Fault.LAND_THEN_TIMEOUT):
        raise TimeoutError
    return str(transaction.signatures[0])


def preflight(
    node: Node, transaction: VersionedTransaction, commitment: str | None, *, verify: bool = True, replace: bool = False
) -> tuple[Any, list[str], int, tuple[Any, dict[Pubkey, Any]] | None]:
    """(error, logs, units, (the virtual machine's meta, accounts after it))."""
    if not replace:
        if str(transaction.signatures[0]) in node.chain.seen:
            return "AlreadyProcessed", [], 0, None
        if not node.chain.is_valid(str(transaction.message.recent_blockhash), commitment or "finalized"):
            return "BlockhashNotFound", [], 0, None
    err, done, accounts = node.chain.simulate(transaction, verify=verify)
    return err, done.logs(), done.compute_units_consumed(), (done, accounts)


def simulateTransaction(node: Node, text: str, config: Config = None) -> Any:
    transaction = decoded(text, option(config, "encoding") or "base58")
    replace = bool(option(config, "replaceRecentBlockhash"))
    err, logs, units, ran = preflight(
        node, transaction, option(config, "commitment"), verify=bool(option(config, "sigVerify")), replace=replace
    )
    get = node.chain.get
    done, changed = ran if ran is not None else (None, {})
    keys, then = meta.Keys(transaction.message, get), meta.after(get, changed)
    asked = option(config, "accounts")
    value: dict[str, Any] = {
        "err": err,
        "logs": logs,
        "unitsConsumed": units,
        "accounts": None,
        "returnData": returned(done),
        "innerInstructions": None,
        "fee": fee_of(transaction),
        "loadedAddresses": keys.loaded,
        "loadedAccountsDataSize": sum(len(account.data) for key in keys.all if (account := get(key))),
        "preBalances": meta.lamports(keys.all, get),
        "postBalances": meta.lamports(keys.all, then),
        "preTokenBalances": meta.token_balances(keys.all, get),
        "postTokenBalances": meta.token_balances(keys.all, then),
    }
    if asked is not None and err is None:
        value["accounts"] = [
            node.account(address, asked, changed.get(Pubkey.from_string(address))) for address in asked["addresses"]
        ]
    if replace:
        value["replacementBlockhash"] = getLatestBlockhash(node, config)["value"]
    return node.wrap(value, config)


def returned(done: Any) -> Any:
    data = b"" if done is None else bytes(done.return_data().data)
    if not data:
        return None
    return {"programId": str(done.return_data().program_id), "data": [base64.b64encode(data).decode(), "base64"]}


def fee_of(transaction: VersionedTransaction) -> int:
    """Lamports for the signatures; what is bid beyond them is part of the simulated balances."""
    return SIGNATURE_LAMPORTS * transaction.message.header.num_required_signatures


def getFeeForMessage(node: Node, text: str, config: Config = None) -> Any:
    message = MessageV0.from_bytes(base64.b64decode(text)[1:])
    signatures = SIGNATURE_LAMPORTS * message.header.num_required_signatures
    return node.wrap(signatures + -(-price_of(message) * 200_000 // 1_000_000), config)


def status_of(node: Node, signature: str, *, history: bool) -> Any:
    chain = node.chain
    seen = chain.seen.get(signature)
    now = node.height({"commitment": "processed"})
    if seen is not None and seen.height <= now - RECENT:
        seen = None  # Only the history has it.
    if seen is None and history and (row := chain.store.status(signature)):
        seen = Seen(*row)
    if seen is None or seen.height > now:
        return None
    level = confirmation(node, seen.height)
    return {
        "slot": seen.slot,
        "confirmations": None if level == "finalized" else now - seen.height,
        "err": seen.err,
        "status": {"Ok": None} if seen.err is None else {"Err": seen.err},
        "confirmationStatus": level,
    }


def confirmation(node: Node, height: int) -> str:
    """How final a block is to this node."""
    for level in ("finalized", "confirmed"):
        if height <= node.height({"commitment": level}):
            return level
    return "processed"


def getSignatureStatuses(node: Node, signatures: list[str], config: Config = None) -> Any:
    if len(signatures) > MAX_STATUSES:
        raise RpcError(-32602, f"Too many inputs provided; max {MAX_STATUSES}")
    history = bool(option(config, "searchTransactionHistory"))
    with node.answering():
        statuses = [status_of(node, signature, history=history) for signature in signatures]
        return node.wrap(statuses, {"commitment": "processed"})


def getSignaturesForAddress(node: Node, address: str, config: Config = None) -> Any:
    limit = option(config, "limit") or MAX_SIGNATURES
    before = (2**62, 0)
    if name := option(config, "before"):
        before = node.chain.store.place(name) or (0, 0)
    highest = node.height(config)
    rows = node.chain.store.signatures(address, before=before, limit=limit)
    return [
        {
            "signature": signature,
            "slot": slot,
            "err": err,
            "memo": memo_of(raw),
            "blockTime": at,
            "confirmationStatus": confirmation(node, height),
        }
        for signature, slot, height, err, at, raw in rows
        if height <= highest
    ]


def memo_of(raw: bytes) -> str | None:
    """As nodes write it: each memo's length and text; None without any."""
    message = VersionedTransaction.from_bytes(raw).message
    keys = message.account_keys
    memos = [bytes(each.data) for each in message.instructions if keys[each.program_id_index] in MEMO_PROGRAMS]
    return "; ".join(f"[{len(memo)}] {memo.decode(errors='replace')}" for memo in memos) or None


def getTransaction(node: Node, signature: str, config: Any = None) -> Any:
    options = config if isinstance(config, dict) else {"encoding": config}
    found = node.chain.store.transaction(signature)
    if found is None or found[1] > node.height(options) or node.takes(Fault.NULL_HISTORY):
        return None
    slot, _, at, raw, told = found
    version = version_of(raw)
    if version == 0 and option(options, "maxSupportedTransactionVersion") is None:
        raise RpcError(
            -32015,
            "Transaction version (0) is not supported by the requesting client. Please try the request again with the"
            ' following configuration parameter: "maxSupportedTransactionVersion": 0',
        )
    body = written(raw, option(options, "encoding") or "json")
    return {"slot": slot, "blockTime": at, "transaction": body, "meta": told, "version": version}


def requestAirdrop(node: Node, address: str, lamports: int, config: Config = None) -> Any:
    """A transfer from the faucet; twice the same in one block is one transaction."""
    chain, to = node.chain, Pubkey.from_string(address)
    latest = getLatestBlockhash(node, {"commitment": "processed"})["value"]["blockhash"]
    parameters = TransferParams(from_pubkey=chain.faucet.pubkey(), to_pubkey=to, lamports=lamports)
    message = MessageV0.try_compile(chain.faucet.pubkey(), [transfer(parameters)], [], Hash.from_string(latest))
    transaction = VersionedTransaction(message, [chain.faucet])
    chain.submit(transaction)
    return str(transaction.signatures[0])
