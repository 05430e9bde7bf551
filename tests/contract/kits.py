"""What a contract suite needs of an implementation: a new one joins `CHAINS` or `VENUES` and must pass."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from routing.mock import rows, settlement, tokens
from routing.mock.chain import MockChain
from routing.mock.faults import Fault
from routing.mock.market import Market
from routing.mock.settlement import Terms
from routing.mock.venue import MockVenue
from routing.values import Pair, Swap, Validity, VenueName
from routing.venue import Venue
from routing.venues import RAYDIUM, registered


class Clock:
    """Set by the test, so that validity ends without waiting for it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def sol_usdc() -> Pair:
    pair = tokens.REGISTRY.pair_named("SOL-USDC")
    assert pair is not None
    return pair


class MockKit:
    """The mock world with SOL held at 150 USDC and no waits. `landing` is a factor on the time to land."""

    def __init__(self, directory: Path, *, landing: float = 0.0) -> None:
        self.clock = Clock()
        self._directory = directory
        self._landing = landing
        self.market = Market(directory, seed=1, clock=self.clock)
        self.market.move("SOL-USDC", price=Decimal(150), hold=True)
        self.chain = self.open()

    def open(self) -> MockChain:
        """Another process' access to the same chain."""
        return MockChain(self._directory, self.market, latency=self._landing, clock=self.clock)

    def venue(self, name: VenueName) -> Venue:
        return MockVenue(name, self.market, self.chain, valid_s=30, latency=0, clock=self.clock)

    def swap(self, reference: str = "order-1", *, attempt: int = 1, min_out: str = "149", valid_s: float = 30) -> Swap:
        """Sells 1 SOL."""
        valid_until = self.clock() + timedelta(seconds=valid_s)
        payload = settlement.encode(
            Terms(
                reference=reference,
                attempt=attempt,
                venue=RAYDIUM,
                pair="SOL-USDC",
                amount_in=Decimal(1),
                quoted_price=Decimal(150),
                min_out=Decimal(min_out),
                valid_until=valid_until,
                nonce=settlement.nonce(),
            )
        )
        return Swap(
            reference=reference,
            attempt=attempt,
            venue=RAYDIUM,
            signature=settlement.sign(payload),
            payload=payload,
            min_out=Decimal(min_out),
            valid_until=valid_until,
            validity=Validity(rows.micros(valid_until)),
        )

    def lose_next(self) -> None:
        """The next submission is accepted and never seen again."""
        self.chain.misbehave(Fault.DROP, count=1)

    def leave_next_unanswered(self) -> None:
        """The next submission lands, and its sender gets no answer."""
        self.chain.misbehave(Fault.LAND_THEN_TIMEOUT, count=1)

    def refuse_next(self) -> None:
        self.chain.misbehave(Fault.REFUSE, count=1)


Kit = MockKit
CHAINS: dict[str, Callable[[Path], Kit]] = {"mock": MockKit}
VENUES: dict[str, tuple[Callable[[Path], Kit], VenueName]] = {
    f"mock-{name.lower()}": (MockKit, name) for name in registered()
}
