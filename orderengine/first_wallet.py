"""Wallets of the first accounts on a localnet, with money in them: the first order needs no other step."""

from decimal import Decimal
from io import StringIO

from django.core.management import call_command

from accounts.auth import DEMO
from accounts.credentials import STAFF
from routing.controls import ChainControls
from routing.world import world
from wallets.ring import in_use

FUNDS = {"USDC": "1000000", "JUP": "1000000", "BONK": "10000000000", "SOL": "10000"}
"""Made out of nothing. SOL comes last: a wallet that has some has had the others."""
NAME = "main"


def ensure() -> None:
    """Makes them where those accounts have none on this chain, and fills one that has no SOL. Nothing on any other chain.

    Raises `InvalidMove` where the localnet does not answer.
    """
    controls = world().controls
    if not isinstance(controls, ChainControls):
        return
    for account in (DEMO, STAFF):
        wallets = in_use().filter(account__name=account)
        if not wallets.exists():
            # What the command prints is no stage of `prepare`.
            call_command("wallets", "create", account, "--name", NAME, stdout=StringIO())
        for wallet in wallets.filter(is_default=True):
            if controls.lamports(wallet.address) == 0:
                for symbol, amount in FUNDS.items():
                    controls.give(wallet.address, symbol, Decimal(amount))
