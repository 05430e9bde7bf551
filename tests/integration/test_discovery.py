"""Mints that come to be while snipers wait for them, and an executor that hears of a token last."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from orders.ledger.statements import Connection
from routing.mock.tokens import TOKENS, USDC
from routing.mock.world import mock_world
from routing.tokens import Tokens
from routing.values import Mint, Program, Token
from routing.venue import VenueUnavailable
from routing.world import registry
from tests.factories import accepted, new_order
from tests.integration.test_resume import Owner, statuses
from triggers import discovery
from triggers.discovery import Discovery

MINT = "Gh9ZwEmdLJ8DscKNTkTqPbNwLNNBjuSzaG9Vp2KGtKJr"
OTHER = "9n4nbM75f5Ui33ZbPYXn59EwSgE8CGsHtAeTH5YFeJ9E"
INSERT = """
INSERT INTO routing_token (mint, symbol, name, decimals, program, extensions, verified, source, rank)
VALUES (%s, '', '', 6, 'token', '[]', false, 'test', 1000)
"""


@pytest.fixture(autouse=True)
def database(database: Connection) -> Iterator[Connection]:
    registry.refresh()
    yield database
    database.execute("TRUNCATE routing_token")
    registry.refresh()


async def test_a_mint_that_has_come_to_be_is_added_and_not_verified() -> None:
    """Its maker calls it SOL, in letters that are not what they seem."""
    chain: dict[str, Mint] = {}
    asked: list[str] = []

    async def read(mint: str) -> Mint | None:
        asked.append(mint)
        if mint == OTHER:
            raise VenueUnavailable
        return chain.get(mint)

    finder = Discovery(read)
    pairs = [f"USDC-{MINT}", f"USDC-{OTHER}", "SOL-USDC", "USDC-nonsense"]
    due = finder.due(pairs)
    assert due == sorted([MINT, OTHER])
    await finder.look(due)
    assert registry.refresh().resolve(MINT) is None
    assert finder.due(pairs) == [], "not at every tick"

    chain[MINT] = Mint(6, Program.TOKEN_2022, ("transferFeeConfig",), "SOL\u202e", "So\x00lana")
    finder = Discovery(read)
    await finder.look(finder.due(pairs))
    token = registry.current().resolve(MINT)
    assert token is not None
    assert (token.symbol, token.name, token.verified, token.source) == ("SOL", "Solana", False, "chain")
    assert (token.decimals, token.program, token.extensions) == (6, Program.TOKEN_2022, ("transferFeeConfig",))
    sol = registry.current().resolve("SOL")
    assert sol is not None and sol.mint != MINT
    assert asked.count(OTHER) == 2, "a chain that does not answer is asked again"


def test_all_are_asked_about_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "EVERY_S", 0.0)
    monkeypatch.setattr(discovery, "MOST", 1)

    async def read(mint: str) -> Mint | None:
        raise AssertionError

    finder = Discovery(read)
    asked = [finder.due([f"{MINT}-{OTHER}"]) for _ in range(4)]
    assert asked == [[OTHER], [MINT], [OTHER], [MINT]]
    assert Discovery(None).due([f"{MINT}-USDC"]) == [], "a world without a chain knows what it is told"


async def test_an_executor_that_hears_of_a_token_last_does_not_give_the_order_up(
    database: Connection, database_url: str, account: int, tmp_path: Path
) -> None:
    """The matcher knew the token and fired; this process' look at the table is to come. Unknown to all, a sniper rests again."""
    told = Tokens([*TOKENS, Token("", MINT, 6)])
    world = mock_world(
        tmp_path,
        seed=1,
        latency=0,
        failure_rate=0,
        deadline_ms=5_000,
        max_age_ms=60_000,
        valid_s=60,
        tokens=lambda: told,
    )
    owner = Owner(database, database_url, world)
    snipers = [
        accepted(
            database,
            new_order(
                account,
                type="sniper",
                token_in=USDC.mint,
                token_out=mint,
                trigger_kind="token_launch",
                resting=True,
                launched_before=False,
            ),
        )
        for mint in (MINT, OTHER)
    ]
    try:
        world.controls.move(f"{MINT}-USDC", listed=True)
        await asyncio.to_thread(registry.refresh)
        database.execute(INSERT, (MINT,))
        for order in snipers:
            async with asyncio.timeout(30):
                await owner.executor.execute([order.id], trigger={"price": "0"})
        assert statuses(database, snipers[0].id)[-1] == "confirmed"
        assert statuses(database, snipers[1].id) == ["pending", "routing", "pending"]
    finally:
        await owner.close()
        await world.close()
