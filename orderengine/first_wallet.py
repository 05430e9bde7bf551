"""Wallets of the first accounts on a localnet and on paper, with money in them: the first order needs no other step."""

from collections.abc import Callable
from decimal import Decimal
from io import StringIO

from django.conf import settings
from django.core.management import call_command

from accounts.auth import DEMO
from accounts.credentials import STAFF
from routing.controls import ChainControls
from routing.faucet import Faucet, faucet
from routing.world import paper_store, tokens, world
from wallets.ring import in_use

FUNDS = {"USDC": "1000000", "JUP": "1000000", "BONK": "10000000000", "SOL": "10000"}
"""Made out of nothing. SOL comes last: a wallet that has some has had the others."""
NAME = "main"


def ensure() -> None:
    """Makes them where those accounts have none on this chain, and fills one that has no SOL. Nothing on any other chain.

    Raises `InvalidMove` where the localnet, or Postgres, does not answer.
    """
    has_money, given = filling()
    if given is None:
        return
    for account in (DEMO, STAFF):
        wallets = in_use().filter(account__name=account)
        if not wallets.exists():
            # What the command prints is no stage of `prepare`.
            call_command("wallets", "create", account, "--name", NAME, stdout=StringIO())
        for wallet in wallets.filter(is_default=True):
            if not has_money(wallet.address):
                for symbol, amount in FUNDS.items():
                    if tokens().resolve(symbol) is not None:
                        given.give(wallet.address, symbol, Decimal(amount))


def filling() -> tuple[Callable[[str], bool], Faucet | None]:
    """(whether a wallet has SOL, who gives); nobody gives where money is real."""
    if settings.PAPER:
        return lambda wallet: bool(paper_store().holdings([wallet])[wallet]), faucet()
    controls = world().controls
    if not isinstance(controls, ChainControls):
        return lambda wallet: True, None
    return lambda wallet: controls.lamports(wallet) > 0, controls
