"""The token registry, and base58."""

import os

import pytest

from routing import base58
from routing.mock import tokens


@pytest.mark.parametrize(
    ("asked", "symbol"),
    [
        ("SOL", "SOL"),
        ("sol", "SOL"),
        ("So11111111111111111111111111111111111111112", "SOL"),
        ("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", "USDC"),
        ("so11111111111111111111111111111111111111112", None),
        ("DOGE", None),
        ("", None),
    ],
)
def test_a_token_is_found_by_symbol_or_mint(asked: str, symbol: str | None) -> None:
    token = tokens.REGISTRY.resolve(asked)
    assert (token and token.symbol) == symbol


def test_a_pair_needs_two_different_known_tokens() -> None:
    pair = tokens.REGISTRY.pair("SOL", tokens.USDC.mint)
    assert pair is not None and pair.name == "SOL-USDC"
    assert tokens.REGISTRY.pair_named("sol-usdc") == pair
    assert tokens.REGISTRY.pair("SOL", tokens.SOL.mint) is None
    assert tokens.REGISTRY.pair("SOL", "DOGE") is None
    assert tokens.REGISTRY.pair_named("SOLUSDC") is None


@pytest.mark.parametrize(
    ("name", "pool"),
    [("SOL-USDC", "SOL-USDC"), ("USDC-SOL", "SOL-USDC"), ("SOL-BONK", "BONK-SOL"), ("USDC-NEW", "NEW-USDC")],
)
def test_a_pool_has_one_name_both_ways(name: str, pool: str) -> None:
    pair = tokens.REGISTRY.pair_named(name)
    assert pair is not None
    assert pair.pool.name == pair.reverse.pool.name == pool
    assert pair.quote_token.symbol == pool.partition("-")[2]


def test_every_mint_is_an_address() -> None:
    for token in tokens.TOKENS:
        assert len(base58.decode(token.mint)) == 32


@pytest.mark.parametrize(
    ("data", "text"), [(b"", ""), (b"\0", "1"), (b"\0\0a", "112g"), (b"hello world", "StV1DL6CwTryKyV")]
)
def test_base58_agrees_with_known_values(data: bytes, text: str) -> None:
    assert (base58.encode(data), base58.decode(text)) == (text, data)


def test_base58_comes_back() -> None:
    for length in range(70):
        data = os.urandom(length)
        assert base58.decode(base58.encode(data)) == data
