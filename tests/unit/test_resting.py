"""Where an order waits that rests again: at a price, or shelved for a while."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from orders.events import RestData
from orders.ledger.values import Recorded
from orders.resting.placement import HIGHER_FOR_S, MAX_REVERT_PAUSE_S, MAX_SNIPER_PAUSE_S, arm_again
from triggers.changes import Arm

ORDER = UUID(int=1)


def fired(type_: str) -> Recorded:
    return Recorded(
        at=datetime(2026, 1, 1, tzinfo=UTC),
        type=type_,
        token_in="SOL",
        token_out="USDC",
        limit_price=Decimal(100) if type_ == "limit" else None,
        trigger_condition="gte" if type_ == "limit" else None,
        trigger_kind="token_launch" if type_ == "sniper" else None,
        min_liquidity=None,
        volume_factor=None,
        launched_before=None,
    )


def again(type_: str, seq: int, **data: str) -> Arm:
    return arm_again(ORDER, fired(type_), seq, RestData(reason="MARKET_MOVED_BACK", **data))


def paused_s(type_: str, seq: int, **data: str) -> float:
    arm = again(type_, seq, **data)
    assert arm.shelved
    return arm.again_in_ms / 1000


def test_a_limit_that_reverts_pays_less_and_less_often() -> None:
    assert [paused_s("limit", seq, signature="4Mg6") for seq in (5, 9, 13, 17)] == [1, 2, 4, 8]
    assert paused_s("limit", 401, signature="4Mg6") == MAX_REVERT_PAUSE_S
    assert paused_s("limit", 2**31 - 1, signature="4Mg6") == MAX_REVERT_PAUSE_S


def test_a_limit_that_was_not_sent_waits_for_its_price() -> None:
    back = again("limit", 3, price="99.9")
    assert (back.rest.price, back.shelved, back.again_in_ms) == (Decimal(100), False, 0)
    higher = again("limit", 3, price="98", fires_at="103")
    assert (higher.rest.price, higher.shelved) == (Decimal(103), False)
    assert higher.again_in_ms == HIGHER_FOR_S * 1000, "then for its limit again"


def test_a_sniper_without_a_quote_waits_longer_every_time() -> None:
    assert [paused_s("sniper", seq) for seq in (7, 14, 21)] == [8, 16, 32]
    assert paused_s("sniper", 2**31 - 1) == MAX_SNIPER_PAUSE_S
