"""Methods about accounts and tokens. Accounts are answered as they are now, whatever commitment is asked for."""

from typing import Any

import base58

from localnet.addresses import TOKEN_PROGRAMS
from localnet.meta import decimals_of, is_token_account, ui_amount
from localnet.node import Config, Node, RpcError, option, pubkey

METHODS = (
    "getAccountInfo",
    "getBalance",
    "getMultipleAccounts",
    "getMinimumBalanceForRentExemption",
    "getProgramAccounts",
    "getTokenAccountBalance",
    "getTokenAccountsByOwner",
    "getTokenLargestAccounts",
    "getTokenSupply",
)
MAX_ACCOUNTS = 100
MAX_LARGEST = 20


def getAccountInfo(node: Node, address: str, config: Config = None) -> Any:
    return node.wrap(node.account(address, config), config)


def getMultipleAccounts(node: Node, addresses: list[str], config: Config = None) -> Any:
    if len(addresses) > MAX_ACCOUNTS:
        raise RpcError(-32602, f"Too many inputs provided; max {MAX_ACCOUNTS}")
    return node.wrap([node.account(address, config) for address in addresses], config)


def getBalance(node: Node, address: str, config: Config = None) -> Any:
    return node.wrap(node.chain.svm.get_balance(pubkey(address)) or 0, config)


def getMinimumBalanceForRentExemption(node: Node, size: int, config: Config = None) -> Any:
    return node.chain.svm.minimum_balance_for_rent_exemption(size)


def getProgramAccounts(node: Node, program: str, config: Config = None) -> Any:
    filters = option(config, "filters") or []
    found = []
    for address, account in node.chain.svm.get_program_accounts(pubkey(program)):
        if account.lamports and all(matches(bytes(account.data), each) for each in filters):
            found.append({"pubkey": str(address), "account": node.account(str(address), config, account)})
    return node.wrap(found, config) if option(config, "withContext") else found


def matches(data: bytes, condition: dict[str, Any]) -> bool:
    """A filter: the data's size, or bytes (base58) at an offset."""
    if "dataSize" in condition:
        return len(data) == int(condition["dataSize"])
    compared = condition["memcmp"]
    wanted = base58.b58decode(compared["bytes"])
    return data[compared["offset"] : compared["offset"] + len(wanted)] == wanted


def getTokenAccountBalance(node: Node, address: str, config: Config = None) -> Any:
    account = node.chain.get(pubkey(address))
    if account is None or not is_token_account(account):
        raise RpcError(-32602, "Invalid param: could not find account")
    mint = type(account.owner).from_bytes(account.data[:32])
    amount = int.from_bytes(account.data[64:72], "little")
    return node.wrap(ui_amount(amount, decimals_of(mint, node.chain.get)), config)


def getTokenSupply(node: Node, mint: str, config: Config = None) -> Any:
    account = node.chain.get(pubkey(mint))
    if account is None or account.owner not in TOKEN_PROGRAMS or is_token_account(account):
        raise RpcError(-32602, "Invalid param: not a Token mint")
    return node.wrap(ui_amount(int.from_bytes(account.data[36:44], "little"), account.data[44]), config)


def getTokenLargestAccounts(node: Node, mint: str, config: Config = None) -> Any:
    account, wanted = node.chain.get(pubkey(mint)), bytes(pubkey(mint))
    if account is None or account.owner not in TOKEN_PROGRAMS or is_token_account(account):
        raise RpcError(-32602, "Invalid param: not a Token mint")
    held = [
        (int.from_bytes(each.data[64:72], "little"), str(address))
        for address, each in node.chain.svm.get_program_accounts(account.owner)
        if is_token_account(each) and bytes(each.data[:32]) == wanted
    ]
    largest = sorted(held, reverse=True)[:MAX_LARGEST]
    return node.wrap(
        [{"address": address} | ui_amount(amount, account.data[44]) for amount, address in largest], config
    )


def getTokenAccountsByOwner(node: Node, owner: str, which: dict[str, str], config: Config = None) -> Any:
    wanted, mint = pubkey(owner), which.get("mint")
    if mint is not None and node.chain.get(pubkey(mint)) is None:
        raise RpcError(-32602, "Invalid param: could not find mint")
    programs = [pubkey(which["programId"])] if "programId" in which else TOKEN_PROGRAMS
    found = []
    for program in programs:
        for address, account in node.chain.svm.get_program_accounts(program):
            if not is_token_account(account) or bytes(account.data[32:64]) != bytes(wanted):
                continue
            if mint is None or bytes(account.data[:32]) == bytes(pubkey(mint)):
                found.append({"pubkey": str(address), "account": node.account(str(address), config, account)})
    return node.wrap(found, config)
