"""The address of a transaction, by mode."""

import pytest

from routing import explorer


def test_only_a_localnet_s_node_is_told_to_the_explorer() -> None:
    node = "https://rpc.example/?api-key=secret"
    assert "secret" not in explorer.address("devnet", node) + explorer.address("mainnet", node)
    assert explorer.address("localnet", "http://127.0.0.1:8899") == (
        "https://explorer.solana.com/tx/{signature}?cluster=custom&customUrl=http%3A%2F%2F127.0.0.1%3A8899"
    )
    assert explorer.address("mock", node) == ""


@pytest.mark.parametrize("mode", ["localnet", "devnet", "mainnet"])
def test_it_takes_a_signature_and_each_mode_has_a_meaning(mode: str) -> None:
    assert "/tx/5aB?" in explorer.address(mode).format(signature="5aB") + "?"
    assert explorer.MEANINGS[mode]
