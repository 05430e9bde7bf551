"""What is wrong with a cluster's nodes, as far as asking them shows. Blocks; for commands. Nothing is sent or signed."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import redis

from routing.http import NoAnswer, RpcError, host_of, rpc
from routing.solana.nodes import ANY_SIGNATURE, MAX_BEHIND_SLOTS, NO_HISTORY
from routing.solana.vendors.allowance import rest_key, server_of

ASK_TIMEOUT_S = 4.0
SLOW_MS = 500
"""Of one call. An order needs some eight of them, and a quote is used for 1.5 s."""
MAX_SKEW_S = 5.0
"""Between our clock and a block's time, which validators agree on to some seconds and which counts whole ones."""
POLL_S = 0.5
"""Between two polls of prices."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check-up. `mend`: what to do about it; None: it is as it should be."""

    about: str
    found: str
    mend: str | None = None


def of_nodes(urls: Sequence[str], genesis_hash: str) -> Iterator[Finding]:
    """Of each node, in order, and of how far they are apart."""
    slots: dict[str, int] = {}
    for url in urls:
        about = f"node {host_of(url)}"
        yield from _of_address(about, url)
        try:
            yield from _of_node(about, url, genesis_hash)
            slots[about] = rpc(url, "getSlot", {"commitment": "confirmed"}, timeout_s=ASK_TIMEOUT_S, type_=int)
        except RpcError as error:
            limited = error.code == 429 or "rate" in str(error).lower()
            mend = (
                "set RPC_REQUESTS_PER_S to what it allows" if limited else "use a node that answers this, in RPC_URLS"
            )
            yield Finding(about, f"refuses: {error}", mend)
        except NoAnswer as error:
            limited = "HTTP 429" in str(error)
            mend = (
                "set RPC_REQUESTS_PER_S to what it allows"
                if limited
                else "check its address in RPC_URLS, and that it runs"
            )
            yield Finding(about, str(error), mend)
    for about, slot in slots.items():
        if (behind := max(slots.values()) - slot) > MAX_BEHIND_SLOTS:
            yield Finding(
                about, f"is {behind} slots behind the others", "use another one; what it says is not used meanwhile"
            )


def _of_address(about: str, url: str) -> Iterator[Finding]:
    try:
        parts = urlsplit(url)
        open_ = parts.scheme != "https" and parts.hostname not in LOOPBACK
    except ValueError:
        return  # Asking it says so.
    if open_:
        yield Finding(about, "is asked without TLS", "write https:// in RPC_URLS, or run the node on this machine")


def _of_node(about: str, url: str, genesis_hash: str) -> Iterator[Finding]:
    """Raises `RpcError`, `NoAnswer`."""
    began = time.monotonic()
    found = rpc(url, "getGenesisHash", timeout_s=ASK_TIMEOUT_S, type_=str)
    took_ms = round((time.monotonic() - began) * 1000)
    if found != genesis_hash:
        yield Finding(about, f"is of the cluster {found}, wanted is {genesis_hash}", "take it out of RPC_URLS")
        return
    slow = f"use a nearer node: quotes grow stale beyond {SLOW_MS} ms" if took_ms > SLOW_MS else None
    yield Finding(about, f"answers in {took_ms} ms and is of the right cluster", slow)
    yield _of_history(about, url)
    yield from _of_clock(about, url)


def _of_history(about: str, url: str) -> Finding:
    """As `Nodes` asks before it uses a node."""
    try:
        asked = [ANY_SIGNATURE], {"searchTransactionHistory": True}
        rpc(url, "getSignatureStatuses", *asked, timeout_s=ASK_TIMEOUT_S)
    except RpcError as error:
        if error.code != NO_HISTORY:
            raise
        return Finding(
            about, "keeps no transaction history", "use another one: what landed could not be told from what expired"
        )
    return Finding(about, "keeps transaction history")


def _of_clock(about: str, url: str) -> Iterator[Finding]:
    """Our clock by the newest final block's time. A chain that stands still looks like a clock that is ahead."""
    slot = rpc(url, "getSlot", {"commitment": "finalized"}, timeout_s=ASK_TIMEOUT_S, type_=int)
    at = rpc(url, "getBlockTime", slot, timeout_s=ASK_TIMEOUT_S, type_=int | None)
    if at is None:
        return
    ahead_s = time.time() - at
    mend = (
        "let NTP set this machine's clock; if it is right, the chain makes no blocks"
        if abs(ahead_s) > MAX_SKEW_S
        else None
    )
    yield Finding("clock", f"is {ahead_s:+.0f} s from the newest block of {host_of(url)}", mend)


def of_rates(access: Mapping[str, Any], redis_url: str, max_age_ms: int) -> Iterator[Finding]:
    """Of each vendor's server that is asked (`settings.VENUE_ACCESS`): whether its prices stay fresh at what it allows, and
    whether it is refusing just now. Nobody is asked but Redis, where all processes share what is allowed."""
    modes: Mapping[str, str] = access["modes"]
    over_http = {name for name, mode in modes.items() if mode != "direct"}
    if not over_http:
        return
    asked = [("jupiter", "JUPITER_REQUESTS_PER_S")]  # It tells the prices of all venues over HTTP.
    if "RAYDIUM" in over_http:
        asked.append(("raydium", "RAYDIUM_REQUESTS_PER_S"))
    for vendor, variable in asked:
        url, per_s = str(access[f"{vendor}_url"]), float(access[f"{vendor}_per_s"])
        about = f"rate of {host_of(url)}"
        allowed = f"{per_s:g} requests/s for all processes ({variable})" if per_s else f"any number ({variable})"
        every_s = max(POLL_S, 1 / per_s) if per_s else POLL_S
        # A poll later than its turn, and the time of an answer.
        needed_ms = round(1000 * (every_s + 3 * POLL_S))
        if vendor == "jupiter":
            allowed += f"; prices are renewed every {every_s:g} s"
        short = vendor == "jupiter" and every_s > POLL_S and max_age_ms < needed_ms
        mend = f"set QUOTE_MAX_AGE_MS to {needed_ms} or more, or {variable} to what your key allows"
        yield Finding(about, allowed, mend if short else None)
        if (rest_s := _rests(redis_url, url)) > 0:
            yield Finding(
                about,
                f"refuses: it wants to be left alone for {rest_s:.0f} s",
                f"set {variable} to what it really allows",
            )


def _rests(redis_url: str, url: str) -> float:
    """Seconds; 0 also while Redis does not say."""
    client = redis.Redis.from_url(redis_url, socket_timeout=1, socket_connect_timeout=1)
    try:
        left: int = client.pttl(rest_key(server_of(url)))
        return max(0, left) / 1000
    except redis.RedisError:
        return 0.0
    finally:
        client.close()
