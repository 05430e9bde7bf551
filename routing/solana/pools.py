"""Pools as accounts: where they are, what they hold, what they pay. Quotes are exact and computed here.

Layouts: `PoolState` and `AmmConfig` of Raydium's CPMM, `Pool` of Meteora's DAMM v2 (their IDLs).
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from solders.pubkey import Pubkey

from routing.solana.accounts import Account
from routing.solana.addresses import TOKEN, TOKEN_2022
from routing.solana.programs import Side

MINTS_AT = 168
"""Both formats have their two mints here, one after the other."""
AMOUNT_AT = 64
"""Of a token account: its base units."""


class NotQuotable(ValueError):
    """The pool is closed, or priced in a way that is not computed here."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a pool's own account says that other accounts are needed for."""

    address: Pubkey
    sides: tuple[Side, Side]
    rate: int | None
    """Fee, as a part of the format's denominator; None: `config` has it."""
    config: Pubkey | None
    observation: Pubkey | None
    owed: tuple[int, int]
    """Base units in each vault that are not the pool's any more: fees nobody has collected yet."""
    opens_at: int
    """Unix time, seconds."""
    curved: bool = False
    """It is priced by a curve that is not computed here."""

    @property
    def needs(self) -> tuple[Pubkey, ...]:
        return (self.sides[0].vault, self.sides[1].vault)


class PoolFormat(Protocol):
    program: Pubkey
    size: int
    denominator: int
    fee_on_output: bool

    def layout(self, address: Pubkey, data: bytes) -> Layout:
        """Raises `NotQuotable`, also for an account that is no such pool."""
        ...

    def rate(self, config: bytes) -> int:
        """The fee that a configuration account says. Raises `NotQuotable`."""
        ...


def _key(data: bytes, at: int) -> Pubkey:
    return Pubkey.from_bytes(data[at : at + 32])


class CpmmFormat:
    program = Pubkey.from_string("CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C")
    size = 637
    denominator = 1_000_000
    fee_on_output = False
    _discriminator = bytes.fromhex("f7ede3f5d7c3de46")
    _swaps_off = 4

    def layout(self, address: Pubkey, data: bytes) -> Layout:
        """See `PoolFormat`."""
        if len(data) != self.size or data[:8] != self._discriminator:
            raise NotQuotable("it is no pool of Raydium CPMM")
        if data[329] & self._swaps_off:
            raise NotQuotable("the pool is closed for swaps")
        if data[390]:
            raise NotQuotable("the pool takes a creator's fee, which is not computed here")
        protocol, fund, creator = (struct.unpack_from("<QQ", data, at) for at in (341, 357, 397))
        sides = [Side(_key(data, 168 + 32 * n), _key(data, 72 + 32 * n), _key(data, 232 + 32 * n)) for n in (0, 1)]
        return Layout(
            address,
            (sides[0], sides[1]),
            None,
            config=_key(data, 8),
            observation=_key(data, 296),
            owed=(protocol[0] + fund[0] + creator[0], protocol[1] + fund[1] + creator[1]),
            opens_at=struct.unpack_from("<Q", data, 373)[0],
        )

    def rate(self, config: bytes) -> int:
        """See `PoolFormat`."""
        if len(config) < 20:
            raise NotQuotable("the configuration says no fee")
        return int(struct.unpack_from("<Q", config, 12)[0])


class DammFormat:
    program = Pubkey.from_string("cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG")
    size = 1112
    denominator = 1_000_000_000
    fee_on_output = True
    _discriminator = bytes.fromhex("f19a6d0411b16dbc")

    def layout(self, address: Pubkey, data: bytes) -> Layout:
        """See `PoolFormat`. A pool with liquidity of its own is priced by its curve: its venue's API quotes it."""
        if len(data) != self.size or data[:8] != self._discriminator:
            raise NotQuotable("it is no pool of Meteora DAMM v2")
        if data[481]:
            raise NotQuotable("the pool is closed for swaps")
        programs = [TOKEN_2022 if flag else TOKEN for flag in data[482:484]]
        sides = [Side(_key(data, 168 + 32 * n), _key(data, 232 + 32 * n), programs[n]) for n in (0, 1)]
        return Layout(
            address,
            (sides[0], sides[1]),
            struct.unpack_from("<Q", data, 8)[0],
            config=None,
            observation=None,
            owed=(0, 0),
            # Only an activation by time says a moment.
            opens_at=struct.unpack_from("<Q", data, 472)[0] if data[480] == 1 else 0,
            curved=any(data[360:376]),
        )

    def rate(self, config: bytes) -> int:
        """Its pools have their fee themselves."""
        raise NotImplementedError


CPMM, DAMM = CpmmFormat(), DammFormat()


@dataclass(frozen=True, slots=True)
class Curve:
    """x·y=k with a fee, seen in the direction of a swap. Base units."""

    sold: int
    bought: int
    rate: int
    denominator: int
    fee_on_output: bool

    def fee(self, amount: int) -> int:
        """Rounded up."""
        return -(-amount * self.rate // self.denominator)

    def gross(self, paid: int) -> int:
        return self.bought * paid // (self.sold + paid)

    def pays(self, amount: int) -> int:
        """What the program pays for `amount`."""
        if self.fee_on_output:
            gross = self.gross(amount)
            return gross - self.fee(gross)
        return self.gross(amount - self.fee(amount))

    def takes(self, wanted: int) -> int | None:
        """The least amount for which `pays` is `wanted` or more; None: the pool cannot pay it.

        `amount - fee(amount)` is the whole part of `amount × (denominator - rate) ÷ denominator`, so each step backwards is one
        division, rounded up.
        """
        gross = self.before_fee(wanted) if self.fee_on_output else wanted
        if gross >= self.bought:
            return None
        paid = -(-gross * self.sold // (self.bought - gross))
        return paid if self.fee_on_output else self.before_fee(paid)

    def before_fee(self, amount: int) -> int:
        """The least of which `amount` is left after the fee."""
        return -(-amount * self.denominator // (self.denominator - self.rate))

    def into(self, amount: int) -> int:
        """What of `amount` moves the price."""
        return amount if self.fee_on_output else amount - self.fee(amount)

    @property
    def fee_bps(self) -> int:
        """Rounded up: a price after fee is never told better than it is."""
        return -(-self.rate * 10_000 // self.denominator)


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as it stands, in the direction of a swap."""

    layout: Layout
    sold: Side
    bought: Side
    curve: Curve


def pool_of(format_: PoolFormat, layout: Layout, accounts: Mapping[Pubkey, Account | None], sold: Pubkey) -> Pool:
    """`accounts`: the vaults and, where the layout names one, the configuration. Raises `NotQuotable`."""
    if layout.curved:
        raise NotQuotable("the pool is priced by its curve, which is not computed here")
    rate = layout.rate
    if rate is None:
        config = accounts.get(layout.config) if layout.config is not None else None
        if config is None:
            raise NotQuotable("the pool's configuration is missing")
        rate = format_.rate(config.data)
    if rate >= format_.denominator:
        raise NotQuotable("the pool's fee would be all that is paid")
    held = []
    for side, owed in zip(layout.sides, layout.owed, strict=True):
        vault = accounts.get(side.vault)
        if vault is None or len(vault.data) < AMOUNT_AT + 8:
            raise NotQuotable("a vault of the pool is missing")
        held.append(struct.unpack_from("<Q", vault.data, AMOUNT_AT)[0] - owed)
    if min(held) <= 0:
        raise NotQuotable("the pool is empty")
    way = 0 if layout.sides[0].mint == sold else 1
    curve = Curve(held[way], held[1 - way], rate, format_.denominator, format_.fee_on_output)
    return Pool(layout, layout.sides[way], layout.sides[1 - way], curve)
