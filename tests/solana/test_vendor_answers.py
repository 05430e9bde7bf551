"""What vendors may answer: each documented answer and error, and mutations of them. Nothing unasked is ever signed."""

import base64
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey

from routing.breaker import MAX_FAILURES
from routing.solana import safety
from routing.solana.addresses import TOKEN, associated_account, pubkey
from routing.solana.programs import JUPITER, KNOWN, UnknownLayout
from routing.solana.world import Access
from routing.values import VenueName
from routing.venue import (
    AmountTooSmall,
    InsufficientLiquidity,
    NoRoute,
    UnsafeTransaction,
    VenueError,
    VenueRateLimited,
    VenueTimeout,
    VenueUnavailable,
)
from routing.venues import METEORA, RAYDIUM
from tests.localnet.node import Localnet
from tests.solana import messages as good
from tests.solana.stage import Stage, pair
from tests.solana.vendor_server import VendorServer

COMPUTE, TRANSACTION, BUILD = "/compute/swap-base-in", "/transaction/swap-base-in", "/swap/v2/build"
COMPUTE_OUT, TRANSACTION_OUT, PRICES = "/compute/swap-base-out", "/transaction/swap-base-out", "/price/v3"
THIEF = str(Pubkey.new_unique())


class Vendors:
    """A stage whose vendors are a server of the test's, which passes the localnet's answers on, changed by `change`."""

    def __init__(self, node: Localnet, server: VendorServer) -> None:
        access = Access({"RAYDIUM": "http", "METEORA": "http"}, raydium_url=server.url, jupiter_url=server.url)
        self.stage, self.server, self._root = Stage(node, access=access), server, node.addresses["rpcUrl"]
        # Loading certificates takes longer than a call.
        self._client = httpx.Client(verify=False, trust_env=False)  # noqa: S501
        self.change: Any = lambda path, answer: answer
        for path in (COMPUTE, TRANSACTION, COMPUTE_OUT, TRANSACTION_OUT, BUILD, PRICES):
            server.answers[path] = self._pass_on

    def close(self) -> None:
        self._client.close()

    def _pass_on(self, request: Any, body: bytes) -> tuple[int, Any, dict[str, str]]:
        vendor = "jupiter" if request.path in (BUILD, PRICES) else "raydium"
        url = f"{self._root}/{vendor}{request.path}"
        answer = self._client.request(request.method, url, params=dict(request.query), content=body or None)
        return answer.status_code, self.change(request.path, answer.json()), {}


@pytest.fixture
async def vendors(node: Localnet) -> AsyncIterator[Vendors]:
    async with VendorServer() as server:
        made = Vendors(node, server)
        yield made
        made.close()
        await made.stage.world.close()


RAYDIUM_SAYS: list[tuple[int, Any, type[VenueError]]] = [
    *(
        (status, {"id": "a", "success": False, "version": "V1", "msg": said}, error)
        for status in (200, 400)
        for said, error in (
            ("ROUTE_NOT_FOUND", NoRoute),
            ("REQ_INPUT_MINT_ERROR", NoRoute),
            ("REQ_OUTPUT_MINT_ERROR", NoRoute),
            ("AMOUNT_TOO_SMALL", AmountTooSmall),
            ("REQ_AMOUNT_ERROR", VenueError),
            ("REQ_SLIPPAGE_BPS_ERROR", VenueError),
            ("REQ_TX_VERSION_ERROR", VenueError),
            ("REQ_SWAP_RESPONSE_ERROR", VenueError),
            ("REQ_COMPUTE_UNIT_PRICE_MICRO_LAMPORTS_ERROR", VenueError),
            ("SOMETHING_NEW", VenueError),
        )
    ),
    (200, {"success": False, "msg": "REQ_SWAP_RESPONSE_ERROR", "openTime": "1999999999"}, NoRoute),
    (500, {}, VenueUnavailable),
    (302, {}, VenueError),
    (200, b"<html>", VenueError),
    (200, b"[" * 100_000, VenueError),
    (200, b"x" * (1024 * 1024 + 1), VenueUnavailable),
    # The last one: the server is left alone for a while.
    (503, b"<html>", VenueUnavailable),
]
JUPITER_SAYS: list[tuple[int, Any, type[VenueError]]] = [
    *(
        (400, {"error": "some words", "errorCode": code}, error)
        for code, error in (
            ("NO_ROUTES_FOUND", NoRoute),
            ("COULD_NOT_FIND_ANY_ROUTE", NoRoute),
            ("TOKEN_NOT_TRADABLE", NoRoute),
            ("MARKET_NOT_FOUND", NoRoute),
            ("CIRCULAR_ARBITRAGE_IS_DISABLED", NoRoute),
            ("ROUTE_PLAN_DOES_NOT_CONSUME_ALL_THE_AMOUNT", InsufficientLiquidity),
            ("CANNOT_COMPUTE_OTHER_AMOUNT_THRESHOLD", AmountTooSmall),
            ("SOMETHING_NEW", VenueError),
        )
    ),
    (400, {"error": "No routes found"}, NoRoute),
    (400, {"error": {"deep": 1}, "errorCode": 7}, VenueError),
    (401, {"error": "Unauthorized"}, VenueError),
    (500, b"", VenueUnavailable),
    (200, {}, VenueError),
]


@pytest.mark.parametrize(
    ("name", "path", "says"),
    [(RAYDIUM, COMPUTE, RAYDIUM_SAYS), (RAYDIUM, COMPUTE_OUT, RAYDIUM_SAYS), (METEORA, BUILD, JUPITER_SAYS)],
    ids=["raydium", "raydium exact out", "jupiter"],
)
async def test_every_documented_refusal_is_a_stable_code(
    vendors: Vendors, name: VenueName, path: str, says: Any
) -> None:
    for status, answer, error in says:
        vendors.server.says(path, answer, status, location="http://127.0.0.1:9/")
        with pytest.raises(VenueError) as caught:
            await vendors.stage.venue(name).quote(pair(), Decimal(1), exact_out=path == COMPUTE_OUT)
        assert type(caught.value) is error, (status, answer, caught.value)
        assert caught.value.venue == name


async def test_a_quote_goes_back_to_the_letter_with_fields_that_nobody_knows(vendors: Vendors) -> None:
    def more(path: str, answer: Any) -> Any:
        return answer | {"new": {"a": [1.50, "é"]}} if path == COMPUTE else answer

    vendors.change = more
    await vendors.stage.build()
    (sent,) = (body for path, _, body in vendors.server.asked if path == TRANSACTION)
    assert msgspec.json.decode(sent)["swapResponse"]["new"] == {"a": [1.5, "é"]}
    assert len([path for path, _, _ in vendors.server.asked if path == COMPUTE]) == 1, "one quote serves both"


async def test_missing_optional_fields_are_no_reason_to_refuse(vendors: Vendors) -> None:
    needed = {
        COMPUTE: (
            "swapType",
            "inputMint",
            "inputAmount",
            "outputMint",
            "outputAmount",
            "otherAmountThreshold",
            "routePlan",
        ),
        BUILD: ("inputMint", "inAmount", "outputMint", "outAmount", "swapInstruction"),
    }

    def less(path: str, answer: Any) -> Any:
        if path == COMPUTE:
            kept = {name: answer["data"][name] for name in needed[COMPUTE]}
            kept["routePlan"] = [{"poolId": step["poolId"]} for step in kept["routePlan"]]
            return {"success": True, "data": kept}
        return {name: answer[name] for name in needed[BUILD]} if path == BUILD else answer

    vendors.change = less
    for name in (RAYDIUM, METEORA):
        assert (await vendors.stage.build(name=name)).signature


async def test_a_pool_that_cannot_be_read_has_no_route_before_anybody_counts_on_it(vendors: Vendors) -> None:
    def elsewhere(path: str, answer: Any) -> Any:
        if path == COMPUTE:
            answer["data"]["routePlan"][0]["poolId"] = str(KNOWN_NOT)
        else:
            answer["swapInstruction"]["programId"] = str(KNOWN_NOT)
        return answer

    KNOWN_NOT = Pubkey.new_unique()
    vendors.change = elsewhere
    for name in (RAYDIUM, METEORA):
        with pytest.raises(NoRoute):
            await vendors.stage.quote("1", name)


async def test_a_refusal_for_too_many_requests_is_heeded(vendors: Vendors, monkeypatch: pytest.MonkeyPatch) -> None:
    """And rests no venue: it answers others, and is asked when it says."""
    monkeypatch.setattr(
        "routing.solana.vendors.api.REST_S", 0.0
    )  # What it says counts, not what is assumed without it.
    vendors.server.says(COMPUTE, {}, 429, retry_after="30")
    router = vendors.stage.world.router
    for _ in range(MAX_FAILURES + 1):
        found = await router.quote(pair(), Decimal(1))
        assert {each.venue: each.code for each in found.refusals} == {RAYDIUM: "VENUE_RATE_LIMITED"}
    assert [path for path, _, _ in vendors.server.asked].count(COMPUTE) == 1
    assert not router.breakers.is_open(RAYDIUM)


async def test_the_window_s_end_is_heeded_before_the_server_refuses(vendors: Vendors) -> None:
    vendors.server.says(
        COMPUTE, {"success": False, "msg": "ROUTE_NOT_FOUND"}, x_ratelimit_remaining="0", x_ratelimit_reset="9999999999"
    )
    for _ in range(3):
        with pytest.raises(VenueError):
            await vendors.stage.quote()
    assert len(vendors.server.asked) == 1


async def test_a_server_that_does_not_answer_is_left_in_time(vendors: Vendors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routing.solana.vendors.api.TIMEOUT_S", 0.3)
    vendors.server.says(COMPUTE, None)
    with pytest.raises(VenueTimeout):
        await vendors.stage.quote()


# --- Hostile answers -------------------------------------------------------------------------------------------------
NASTY: list[Any] = [
    None,
    True,
    -1,
    0,
    1e308,
    2**64,
    10**30,
    "",
    "-1",
    "NaN",
    "x" * 70_000,
    [],
    {},
    [[]],
    THIEF,
    "9" * 400,
    "\u0000",
    "AAAA",
]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        found += places(each, (*at, key))
    return found


def mutated(answer: Any, draw: random.Random) -> Any:
    """The answer with one to three places removed or filled with something else."""
    changed = msgspec.json.decode(msgspec.json.encode(answer))
    for _ in range(draw.randint(1, 3)):
        every = places(changed)
        if not every:
            return changed
        *path, last = draw.choice(every)
        holder = changed
        for key in path:
            holder = holder[key]
        old = holder[last]
        match draw.randrange(4):
            case 0:
                del holder[last]
            case 1 if isinstance(old, str) and len(old) > 30:
                data = bytearray(old.encode())
                data[draw.randrange(len(data))] = draw.choice(b"ABCabc123")
                holder[last] = data.decode(errors="replace")
            case 2 if isinstance(old, str) and old.isdigit():
                holder[last] = str(int(old) + draw.choice([-1, 1, 10**6, 10**12]))
            case _:
                holder[last] = draw.choice(NASTY)
    return changed


def bought_as_asked(
    message: bytes, stage: Stage, least: Decimal, *, amount: int = 10**9, exact_out: bool = False
) -> None:
    """Raises `UnsafeTransaction` unless the signed message is a swap of so many lamports (1 SOL) for `least` or more; with
    `exact_out` of so many at most for just that."""
    sold, bought = (pubkey(token.mint) for token in (pair().token_in, pair().token_out))
    asked = safety.Asked(
        pubkey(stage.signer.address), sold, bought, amount, round(least.scaleb(6)), "order-1/1", 1_000_000, exact_out
    )
    safety.inspect(MessageV0.from_bytes(message[1:]), asked, KNOWN, {})


@pytest.mark.parametrize(
    ("name", "paths"), [(RAYDIUM, (COMPUTE, TRANSACTION)), (METEORA, (BUILD,))], ids=["raydium", "jupiter"]
)
async def test_no_mutation_of_an_answer_is_an_unhandled_error_or_signs_what_was_not_asked(
    vendors: Vendors, name: VenueName, paths: tuple[str, ...]
) -> None:
    stage = vendors.stage
    least = ((await stage.quote("1", name)).amount_out * Decimal("0.99")).quantize(Decimal("0.000001"))
    seen = await tried(vendors, name, paths, lambda: stage.build(name=name, min_out=str(least)))
    for message in stage.signer.signed:
        bought_as_asked(message, stage, least)
    assert {"signed", "VENUE_ERROR"} <= seen, seen


async def test_no_mutation_of_an_exact_output_s_answer_takes_more_than_was_asked(vendors: Vendors) -> None:
    stage, wanted, most = vendors.stage, Decimal(150), Decimal("1.02")
    venue = stage.venue(RAYDIUM)

    async def build() -> Any:
        quote = await venue.quote(pair(), wanted, exact_out=True)
        asked = {"signer": stage.signer, "reference": "order-1", "attempt": 1, "slippage_bps": 50}
        return await venue.build(pair(), quote, min_out=wanted, max_in=most, **asked)

    seen = await tried(vendors, RAYDIUM, (COMPUTE_OUT, TRANSACTION_OUT), build)
    for message in stage.signer.signed:
        bought_as_asked(message, stage, wanted, exact_out=True, amount=round(most.scaleb(9)))
    assert {"signed", "VENUE_ERROR"} <= seen, seen


async def tried(
    vendors: Vendors, name: VenueName, paths: tuple[str, ...], build: Callable[[], Awaitable[Any]], times: int = 60
) -> set[str]:
    """What came of building with mutated answers of these paths. Any other error is the test's end."""
    draw, seen = random.Random(23), set[str]()
    for _ in range(times):
        target = draw.choice(paths)
        vendors.change = lambda path, answer, target=target: mutated(answer, draw) if path == target else answer
        vendors.stage.venue(name)._offers.clear()  # type: ignore[attr-defined]
        try:
            await build()
            seen.add("signed")
        except VenueError as error:
            seen.add(error.code)
    return seen


async def test_no_mutation_of_the_prices_is_a_price_that_is_none(vendors: Vendors) -> None:
    draw, seen, venue = random.Random(23), set[str](), vendors.stage.venue(METEORA)
    good = (await venue.tick(pair())).price
    for _ in range(100):
        vendors.change = lambda path, answer: mutated(answer, draw)
        venue._prices._kept.clear()  # type: ignore[attr-defined]
        try:
            tick = await venue.tick(pair())
        except VenueError as error:
            seen.add(error.code)
            continue
        assert tick.price.is_finite() and tick.price > 0 and tick.liquidity.is_finite() and tick.liquidity >= 0
        seen.add("same" if tick.price == good else "other")
    assert {"same", "NO_ROUTE", "VENUE_ERROR"} <= seen, seen


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (200, {}, NoRoute),
        (200, {"So11111111111111111111111111111111111111112": None}, NoRoute),
        (400, {"error": "Query parameter ids must have 1 to 50 mints"}, VenueError),
        (401, {"error": "Unauthorized"}, VenueError),
        (500, b"", VenueUnavailable),
        (200, b"[]", VenueError),
        (429, {"error": "Too many requests"}, VenueRateLimited),
    ],
)
async def test_every_answer_of_the_prices_is_a_stable_code(
    vendors: Vendors, status: int, answer: Any, error: type[VenueError]
) -> None:
    vendors.server.says(PRICES, answer, status)
    with pytest.raises(VenueError) as caught:
        await vendors.stage.venue(METEORA).tick(pair())
    assert type(caught.value) is error and caught.value.venue == METEORA


async def test_a_transaction_that_does_other_than_asked_is_not_signed(vendors: Vendors) -> None:
    """What a hostile server could put into a well-formed answer."""
    stage = vendors.stage

    def swap_of(answer: Any) -> Any:
        return answer["swapInstruction"]

    def paid_to(place: int, address: str) -> Any:
        def change(path: str, answer: Any) -> Any:
            swap_of(answer)["accounts"][place]["pubkey"] = address
            return answer

        return change

    def more_sold(path: str, answer: Any) -> Any:
        data = bytearray(base64.b64decode(swap_of(answer)["data"]))
        data[8:16] = (2 * 10**9).to_bytes(8, "little")
        swap_of(answer)["data"] = base64.b64encode(data).decode()
        return answer

    def second_signer(path: str, answer: Any) -> Any:
        swap_of(answer)["accounts"][1]["isSigner"] = True
        return answer

    def less_accepted(path: str, answer: Any) -> Any:
        """A share of what is paid goes to somebody."""
        data = bytearray(base64.b64decode(swap_of(answer)["data"]))
        data[26:28] = (100).to_bytes(2, "little")
        swap_of(answer)["data"] = base64.b64encode(data).decode()
        return answer

    wallet, source, destination, receiver, of_pool = 0, 1, 2, 7, 14
    thief = Stage(vendors.stage.node)
    theirs = str(associated_account(pubkey(thief.signer.address), pubkey(pair().token_out.mint), TOKEN))
    codes = {
        paid_to(wallet, THIEF): "UNSAFE_TRANSACTION",
        paid_to(source, THIEF): "UNSAFE_TRANSACTION",
        paid_to(destination, theirs): "UNSAFE_TRANSACTION",
        paid_to(receiver, theirs): "NO_ROUTE",
        # Only the simulation shows whom a pool within the route pays: then nothing comes to the wallet.
        paid_to(of_pool, theirs): "SLIPPAGE_EXCEEDED",
        more_sold: "UNSAFE_TRANSACTION",
        less_accepted: "NO_ROUTE",
        second_signer: "UNSAFE_TRANSACTION",
    }
    for change, code in codes.items():
        vendors.change = change
        stage.venue(METEORA)._offers.clear()  # type: ignore[attr-defined]
        with pytest.raises(VenueError) as caught:
            await stage.build(name=METEORA)
        assert caught.value.code == code, caught.value
    assert stage.signer.signed == []
    await thief.world.close()

    def several(path: str, answer: Any) -> Any:
        return answer | {"data": answer["data"] * 2} if path == TRANSACTION else answer

    vendors.change = several
    with pytest.raises(UnsafeTransaction, match="2 transactions"):
        await stage.build()
    assert stage.signer.signed == []


async def test_what_is_proposed_beside_the_swap_is_left_out(vendors: Vendors) -> None:
    theft = {"programId": str(Pubkey.default()), "accounts": [], "data": "AgAAAA=="}

    def beside(path: str, answer: Any) -> Any:
        named = ("setupInstructions", "otherInstructions", "computeBudgetInstructions")
        return answer | dict.fromkeys(named, [theft]) | dict.fromkeys(("tipInstruction", "cleanupInstruction"), theft)

    vendors.change = beside
    swap = await vendors.stage.build(name=METEORA)
    bought_as_asked(vendors.stage.signer.signed[-1], vendors.stage, swap.min_out)


# --- Jupiter's own program -------------------------------------------------------------------------------------------
def route(
    *, shared: bool = False, amount: int = 10**9, quoted: int = 149_000_000, slippage: int = 0, **more: Any
) -> Instruction:
    """As its IDL has it: (`id`,) amount, quoted, slippage, two shares, the plan."""
    shares = [more.get("platform", 0), more.get("positive", 0)]
    numbers = b"".join(each.to_bytes(2, "little") for each in (slippage, *shares))
    head = bytes.fromhex("d19853937cfed8e9") + b"\x05" if shared else bytes.fromhex("bb64facc31c4af14")
    data = head + amount.to_bytes(8, "little") + quoted.to_bytes(8, "little") + numbers + b"\x01\0\0\0plan"
    sides, ours = good.READ.sides, JUPITER.address
    tokens = [sides[0].mint, sides[1].mint, sides[0].program, sides[1].program]
    destination = more.get("destination", good.DESTINATION)
    events = Pubkey.new_unique()
    keys = (
        [
            Pubkey.new_unique(),
            good.WALLET,
            good.SOURCE,
            Pubkey.new_unique(),
            Pubkey.new_unique(),
            destination,
            *tokens,
            events,
            ours,
        ]
        if shared
        else [good.WALLET, good.SOURCE, destination, *tokens, more.get("instead", ours), events, ours]
    )
    return Instruction(ours, data, [AccountMeta(key, key == good.WALLET, True) for key in keys])


@pytest.mark.parametrize("shared", [False, True])
def test_a_route_of_jupiter_s_is_read_and_bounded(shared: bool) -> None:
    def read(found: Instruction) -> Any:
        return JUPITER.read(bytes(found.data), [meta.pubkey for meta in found.accounts])

    loose = route(shared=shared, quoted=150_000_001, slippage=50)
    assert read(loose).least == 149_250_000, "rounded down"
    data = JUPITER.bounded(bytes(loose.data), 149_000_000)
    bounded = Instruction(loose.program_id, data, list(loose.accounts))
    assert (read(bounded).amount, read(bounded).least) == (10**9, 149_000_000)
    assert data[-4:] == b"plan"
    around = [*good.parts()[:3], bounded, good.parts()[4]]
    safety.inspect(good.message(instead=around), good.ASKED, KNOWN, {})
    with pytest.raises(UnsafeTransaction, match="at least"):
        safety.inspect(good.message(instead=around), replace(good.ASKED, least=149_000_001), KNOWN, {})
    for refused in ({"platform": 1}, {"positive": 1}, {"slippage": 10_000}):
        with pytest.raises(UnknownLayout):
            read(route(shared=shared, **refused))
    stolen = [*good.parts()[:3], route(shared=shared, destination=pubkey(THIEF)), good.parts()[4]]
    with pytest.raises(UnsafeTransaction):
        safety.inspect(good.message(instead=stolen), good.ASKED, KNOWN, {})
    if not shared:
        with pytest.raises(UnknownLayout, match="somebody else"):
            read(route(instead=pubkey(THIEF)))
