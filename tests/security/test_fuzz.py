"""A short run of the fuzz: `python -m tests.security.fuzz` goes on for as long as its arguments say."""

import os

import pytest

from tests.engine import Engine
from tests.security.fuzz import Fuzz


async def test_broken_traffic_harms_no_order(engine: Engine) -> None:
    seed = int(os.environ.get("FUZZ_SEED", "1"))
    fuzz = Fuzz(engine.url, engine.data_dir, seed, engine.credentials["apiKey"])
    result = await fuzz.run(minutes=0.7, orders_per_second=200)
    print(result.report())
    assert result.faults() == [], result.report()
    assert result.attacks.total() > 300
    assert "Traceback" not in engine.log("web")


def test_it_attacks_only_this_machine(engine: Engine) -> None:
    with pytest.raises(ValueError, match="only engines on this machine"):
        Fuzz("http://192.0.2.1:8000", engine.data_dir, 1, "")
