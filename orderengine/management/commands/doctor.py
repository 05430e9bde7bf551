"""`manage.py doctor`: whether this machine, its nodes and its wallets are fit to execute orders, and what to mend.

Reads only: nothing is sent, signed or written, and no key is read.
"""

import os
import stat
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import redis
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import connection
from django.utils import timezone

from risk.changes import capped
from risk.models import Rule
from risk.values import EVERYBODY
from routing.checkup import Finding, of_nodes, of_rates
from routing.cluster import ClusterUnknown, cluster, mode
from routing.values import SOL_DECIMALS
from routing.venue import VenueError
from routing.world import close_world, world
from wallets.models import Source, Wallet
from wallets.ring import in_use

MAX_SKEW_S = 1.0
"""Between our clock and that of Postgres. The engine bears more, but quotes look older or newer than they are."""
KEY_FILES = {Source.FILE: "{}.json", Source.REMOTE: "{}.signer.json"}
"""In WALLET_KEYS_DIR, by where the secret is."""


class Command(BaseCommand):
    help = "Checks services, clock, nodes, keys and balances, and says what to mend; ends with 1 if anything is."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        to_mend = 0
        for finding in findings():
            to_mend += finding.mend is not None
            self.stdout.write(line(finding))
        if to_mend:
            raise CommandError(f"{to_mend} to mend")


def line(finding: Finding) -> str:
    said = f"{finding.about}: {finding.found}"
    return f"ok    {said}" if finding.mend is None else f"MEND  {said} -> {finding.mend}"


def findings() -> Iterator[Finding]:
    yield Finding("mode", mode())
    postgres = list(of_postgres())
    yield from postgres
    yield of_redis()
    if settings.CAPS_REQUIRED and not any(finding.mend is not None for finding in postgres):
        yield of_caps()
    if settings.EXECUTION_MODE == "mock":
        return  # It has neither nodes nor wallets.
    try:
        genesis_hash = cluster()
    except ClusterUnknown as error:
        yield Finding("cluster", str(error), "check RPC_URLS: each node must answer and be of the mode's cluster")
        return
    assert genesis_hash is not None
    yield from of_nodes(settings.RPC_URLS, genesis_hash)
    yield of_node_rate()
    yield from of_rates(settings.VENUE_ACCESS, settings.REDIS_URL, settings.QUOTE_MAX_AGE_MS)
    if any(finding.mend is not None for finding in postgres):
        return  # Nobody knows which wallets there are.
    wallets = list(in_use().order_by("id"))
    if not wallets:
        yield Finding("wallets", "none is in use here", "manage.py wallets create ACCOUNT")
        return
    yield from (of_key(wallet) for wallet in wallets if wallet.source in KEY_FILES)
    yield from of_balances(wallets)


def of_postgres() -> Iterator[Finding]:
    try:
        before = timezone.now()
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp(), current_setting('transaction_read_only') = 'on'")
            now, read_only = cursor.fetchone()
    except DatabaseError as error:
        said = str(error).strip().partition("\n")[0]
        yield Finding("postgres", f"does not answer: {said}", "start it, or set DATABASE_URL to where it is")
        return
    yield Finding("postgres", "is read-only" if read_only else "answers", "name the primary" if read_only else None)
    # An answer that took long is no skew.
    ahead_s = max((before - now).total_seconds(), (now - timezone.now()).total_seconds(), 0.0)
    mend = "let NTP set the clocks of both machines" if ahead_s > MAX_SKEW_S else None
    yield Finding("clock", f"is within {max(ahead_s, 0.1):.1f} s of that of Postgres", mend)


def of_redis() -> Finding:
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
    try:
        client.ping()
        return Finding("redis", "answers")
    except redis.RedisError as error:
        return Finding("redis", f"does not answer: {error}", "start it, or set REDIS_URL to where it is")
    finally:
        client.close()


def of_node_rate() -> Finding:
    allowed = f"{settings.RPC_REQUESTS_PER_S:g} requests/s of each" if settings.RPC_REQUESTS_PER_S else "any number"
    return Finding("rate of nodes", f"{allowed} (RPC_REQUESTS_PER_S)")


def of_caps() -> Finding:
    """Everybody's, without which nothing trades on mainnet."""
    rule = Rule.objects.get(pk=EVERYBODY)
    if not capped(rule):
        mend = "manage.py risk limits maxNotionalPerOrder=… maxDailySpend=…, then manage.py risk activate"
        return Finding("caps", "are not set: trading is halted and stays so", mend)
    return Finding("caps", f"{rule.max_notional_per_order:f} an order, {rule.max_daily_spend:f} a day; {rule.state}")


def of_key(wallet: Wallet) -> Finding:
    """By the file's mode alone: only order workers and the command `wallets` read keys."""
    about = f"key of {wallet}"
    file = settings.WALLET_KEYS_DIR / KEY_FILES[Source(wallet.source)].format(wallet.address)
    try:
        found = os.stat(file)
    except OSError as error:
        return Finding(about, f"is not at hand: {error.strerror}", f"bring it back to {file}, or retire the wallet")
    if stat.S_IMODE(found.st_mode) & 0o077:
        return Finding(about, "may be read by others", f"chmod 600 {file}; who may have read it has the money")
    return Finding(about, "is its owner's alone")


@async_to_sync
async def held(addresses: list[str]) -> list[int]:
    """Lamports of each address. Raises `VenueError`."""
    own = world()
    assert own.balances is not None
    try:
        return [each.lamports for each in await own.balances.all(addresses)]
    finally:
        await close_world()


def of_balances(wallets: list[Wallet]) -> Iterator[Finding]:
    """What an order may begin with: its fees, and the reserve that stays for the ones after it."""
    least = settings.WALLET_SOL_RESERVE + settings.MAX_FEE_LAMPORTS
    try:
        lamports = held([wallet.address for wallet in wallets])
    except VenueError as error:
        yield Finding("balances", f"are not known: {error}", "mend the nodes first")
        return
    for wallet, found in zip(wallets, lamports, strict=True):
        mend = f"send it SOL: orders need {_sol(least)} for fees and the reserve" if found < least else None
        yield Finding(f"balance of {wallet}", f"{_sol(found)} SOL", mend)


def _sol(lamports: int) -> str:
    return f"{Decimal(lamports).scaleb(-SOL_DECIMALS).normalize():f}"
