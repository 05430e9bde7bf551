"""What a contract suite needs of an implementation: a new one joins `CHAINS` or `VENUES` and must pass."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from routing.chain import Chain
from routing.mock import rows, settlement, tokens
from routing.mock.chain import MockChain
from routing.mock.faults import Fault
from routing.mock.market import Market
from routing.mock.settlement import Terms
from routing.mock.venue import MockVenue
from routing.signer import Signer
from routing.values import Pair, Swap, Validity, VenueName
from routing.venue import Venue
from routing.venues import RAYDIUM, registered


class Kit(Protocol):
    """A world in which SOL is held at 150 USDC, with a deep pool at every venue."""

    @property
    def chain(self) -> Chain: ...

    @property
    def signer(self) -> Signer | None:
        """Whose money is traded; None on a chain without wallets."""
        ...

    @property
    def pays(self) -> Decimal:
        """For 1 SOL at Raydium, to the last base unit."""
        ...

    def open(self) -> Chain:
        """Another process' access to the same chain."""
        ...

    def venue(self, name: VenueName) -> Venue: ...

    def swap(self, reference: str = "order-1", *, attempt: int = 1, min_out: str = "149") -> Swap:
        """Sells 1 SOL at Raydium."""
        ...

    def price(self, price: Decimal) -> None:
        """Moves SOL to this many USDC at every venue, at once."""
        ...

    def silence_venues(self) -> None:
        """No venue answers any more."""
        ...

    def is_now(self, moment: datetime) -> bool:
        """Whether the moment is this one, as far as the world's clock can tell."""
        ...

    def settle(self) -> None:
        """Lets what was sent land, and become final."""
        ...

    def last_moment(self, swap: Swap) -> None:
        """Goes to where the swap may land for the last time."""
        ...

    def past(self, swap: Swap) -> None:
        """Goes to where the swap may not land any more, and everybody knows it."""
        ...

    def landed(self, reference: str) -> int:
        """How many transactions of the order have traded, by the chain's own record."""
        ...

    def lose_next(self) -> None:
        """The next submission is accepted and never seen again."""
        ...

    def leave_next_unanswered(self) -> None:
        """The next submission lands, and its sender gets no answer."""
        ...


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
    """The mock world without waits. `landing` is a factor on the time to land."""

    signer: Signer | None = None
    pays = Decimal("149.624552")
    """Less 25 bps, less an impact of a thirtieth of a basis point."""

    def __init__(self, directory: Path, *, landing: float = 0.0) -> None:
        self.clock = Clock()
        self._directory = directory
        self._landing = landing
        self.market = Market(directory, seed=1, clock=self.clock)
        self.price(Decimal(150))
        self.chain: MockChain = self.open()

    def open(self) -> MockChain:
        return MockChain(self._directory, self.market, latency=self._landing, clock=self.clock)

    def venue(self, name: VenueName) -> Venue:
        return MockVenue(name, self.market, self.chain, valid_s=30, latency=0, clock=self.clock)

    def swap(self, reference: str = "order-1", *, attempt: int = 1, min_out: str = "149", valid_s: float = 30) -> Swap:
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

    def price(self, price: Decimal) -> None:
        self.market.move("SOL-USDC", price=price, hold=True)

    def silence_venues(self) -> None:
        self.market.move("SOL-USDC", raydium="error", meteora="error")

    def is_now(self, moment: datetime) -> bool:
        return moment == self.clock.now

    def settle(self) -> None:
        """They have landed as they were sent."""

    def last_moment(self, swap: Swap) -> None:
        self.clock.now = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=swap.validity)

    def past(self, swap: Swap) -> None:
        self.last_moment(swap)
        self.clock.advance(0.001)

    def landed(self, reference: str) -> int:
        return int(self.chain.report(reference)["landed"])

    def lose_next(self) -> None:
        self.chain.misbehave(Fault.DROP, count=1)

    def leave_next_unanswered(self) -> None:
        self.chain.misbehave(Fault.LAND_THEN_TIMEOUT, count=1)

    def refuse_next(self) -> None:
        self.chain.misbehave(Fault.REFUSE, count=1)


def localnet_kit(directory: Path) -> Kit:
    """Imported where it is used: it starts a process."""
    from tests.contract.localnet_kit import LocalnetKit

    return LocalnetKit()


CHAINS: dict[str, Callable[[Path], Kit]] = {"mock": MockKit, "localnet": localnet_kit}
VENUES: dict[str, tuple[Callable[[Path], Kit], VenueName]] = {
    f"{world}-{name.lower()}": (kit, name) for world, kit in CHAINS.items() for name in registered()
}
