"""The demo account's wallet on a localnet, with money in it: the first order needs no other step."""

from decimal import Decimal
from io import StringIO

from django.core.management import call_command

from accounts.auth import DEMO
from routing.cluster import cluster
from routing.controls import ChainControls
from routing.world import world
from wallets.models import State, Wallet

FUNDS = {"USDC": "1000000", "JUP": "1000000", "BONK": "10000000000", "SOL": "10000"}
"""Made out of nothing. SOL comes last: a wallet that has some has had the others."""
NAME = "demo"


def ensure() -> None:
    """Makes the wallet where the account has none on this chain, and fills one that has no SOL. Nothing on any other chain.

    Raises `InvalidMove` where the localnet does not answer.
    """
    controls = world().controls
    if not isinstance(controls, ChainControls):
        return
    wallets = Wallet.objects.filter(account__name=DEMO, cluster=cluster(), state=State.ACTIVE)
    if not wallets.exists():
        # What the command prints is no stage of `prepare`.
        call_command("wallets", "create", DEMO, "--name", NAME, stdout=StringIO())
    for wallet in wallets.filter(is_default=True):
        if controls.lamports(wallet.address) == 0:
            for symbol, amount in FUNDS.items():
                controls.give(wallet.address, symbol, Decimal(amount))
