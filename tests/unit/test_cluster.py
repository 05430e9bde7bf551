"""Which cluster a mode is on, asked of a node that really answers."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from routing.cluster import GENESIS, TESTNET, ClusterUnknown, cluster
from tests.serving import Said, serving

OWN = "7" * 44
Node = Callable[[str], str]


@pytest.fixture
def node() -> Iterator[Node]:
    """Starts a node that says a genesis hash; its URL."""
    with ExitStack() as servers:

        def start(genesis: str) -> str:
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": genesis}).encode()
            return servers.enter_context(serving(lambda _: Said(body)))

        yield start


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    cluster.cache_clear()
    yield
    cluster.cache_clear()


@pytest.fixture
def localnet(settings: Any, tmp_path: Path) -> Any:
    settings.EXECUTION_MODE, settings.DATA_DIR = "localnet", tmp_path
    return settings


def test_a_localnet_of_elsewhere_says_itself_who_it_is(localnet: Any, node: Node) -> None:
    localnet.RPC_URLS = ["http://127.0.0.1:9", node(OWN)]

    assert cluster() == OWN


@pytest.mark.parametrize("genesis", [*GENESIS.values(), TESTNET])
def test_a_public_cluster_is_no_localnet(localnet: Any, node: Node, genesis: str) -> None:
    localnet.RPC_URLS = [node(genesis)]

    with pytest.raises(ClusterUnknown, match="public cluster"):
        cluster()


def test_a_cluster_that_does_not_answer_is_not_known(localnet: Any) -> None:
    localnet.RPC_URLS = ["http://127.0.0.1:9"]

    with pytest.raises(ClusterUnknown, match="no node"):
        cluster()
