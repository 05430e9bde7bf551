"""The engine's controls of a localnet, over the network as the engine uses them."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from routing.controls import ChainControls, InvalidMove, Reports
from routing.mock.tokens import REGISTRY
from routing.solana.controls import LocalnetControls
from tests.localnet.node import Localnet
from tests.localnet.node import running as a_localnet
from tests.localnet.test_nodes import price_of_new


@pytest.fixture(scope="module")
def running() -> Iterator[Localnet]:
    with a_localnet(slot_ms=20, hold="", nodes="2") as made:
        yield made


@pytest.fixture
def controls(running: Localnet) -> LocalnetControls:
    return LocalnetControls(running.addresses["rpcUrl"], lambda: REGISTRY)


def test_they_are_the_chain_s_and_no_mock_s(controls: LocalnetControls) -> None:
    assert isinstance(controls, ChainControls) and not isinstance(controls, Reports)
    assert controls.unlisted == REGISTRY.resolve("NEW")


def test_a_launch_trades_at_once_and_moves_either_way_round(controls: LocalnetControls, running: Localnet) -> None:
    assert "pool" in controls.pool("NEW-USDC", "raydium", Decimal("0.5"))
    assert Decimal("0.49") < price_of_new(running) < Decimal("0.5")
    controls.move("USDC-NEW", price=Decimal(4), hold=True)
    assert Decimal("0.249") < price_of_new(running) < Decimal("0.25")
    controls.move("NEW-USDC", listed=False)
    with pytest.raises(InvalidMove, match="list it first") as refused:
        controls.move("NEW-USDC", price=Decimal(1))
    assert refused.value.field == "pair"


def test_a_fault_is_counted_where_it_was_asked_for(controls: LocalnetControls, running: Localnet) -> None:
    assert controls.fault("null_history", 3, node=2) == {"left": {"null_history": 3}}
    assert running.control("state")["faultsOfNodes"] == [{}, {"null_history": 3}]
    assert controls.fault("null_history", 0, node=2) == {"left": {}}


@pytest.mark.parametrize(
    ("move", "field"),
    [
        ({"pair_name": "SOL-NONE"}, "pair"),
        ({"pair_name": "SOL-USDC", "price": Decimal(0)}, "price"),
        ({"pair_name": "SOL-USDC", "volume": Decimal("NaN")}, "volume"),
        ({"pair_name": "SOL-USDC", "raydium": "slow"}, "raydium"),
    ],
)
def test_what_cannot_be_moved_is_refused_by_name(
    controls: LocalnetControls, move: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidMove) as refused:
        controls.move(**move)
    assert refused.value.field == field


def test_a_node_that_is_not_there_is_refused(controls: LocalnetControls) -> None:
    with pytest.raises(InvalidMove):
        controls.fault("lag", 1, node=3)
    with pytest.raises(InvalidMove, match="does not answer"):
        LocalnetControls("http://127.0.0.1:1", lambda: REGISTRY).fault("lag", 1)
