"""The pools of both programs: where they are, what they hold, what a swap with them takes and pays."""

from collections.abc import Callable
from dataclasses import dataclass

from solders.account import Account
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from localnet.accounts import EVENT_AUTHORITY, config_of, observation
from localnet.formats import CPMM, Format, amount_out, fee

AMOUNT_AT = 64
GetAccount = Callable[[Pubkey], Account | None]


@dataclass(frozen=True)
class Side:
    mint: Pubkey
    vault: Pubkey
    program: Pubkey
    reserve: int
    """Base units in the vault."""


@dataclass(frozen=True)
class Pool:
    """A pool as it stands, seen in the direction of a swap."""

    format: Format
    address: Pubkey
    sold: Side
    bought: Side
    a_to_b: bool
    rate: int
    opens_at: int

    def pays(self, amount: int) -> int:
        """Base units for `amount` base units."""
        return amount_out(self.format, amount, self.sold.reserve, self.bought.reserve, self.rate)

    def charges(self, amount: int) -> int:
        """The fee on `amount`, in base units of the token it is taken in."""
        if self.format.fee_on_output:
            gross = self.bought.reserve * amount // (self.sold.reserve + amount)
            return fee(gross, self.rate, self.format.fee_denominator)
        return fee(amount, self.rate, self.format.fee_denominator)

    @property
    def fee_bps(self) -> int:
        return self.rate * 10_000 // self.format.fee_denominator

    def swap(
        self,
        amount: int,
        least: int,
        payer: Pubkey,
        source: Pubkey,
        destination: Pubkey,
        *,
        exact_out: bool = False,
    ) -> Instruction:
        """See `Format.swap`."""
        a, b = (self.sold, self.bought) if self.a_to_b else (self.bought, self.sold)
        accounts = {
            "payer": payer,
            "authority": self.format.authority[0],
            "config": config_of(self.format),
            "pool": self.address,
            "source": source,
            "destination": destination,
            "vault_in": self.sold.vault,
            "vault_out": self.bought.vault,
            "program_in": self.sold.program,
            "program_out": self.bought.program,
            "mint_in": self.sold.mint,
            "mint_out": self.bought.mint,
            "vault_a": a.vault,
            "vault_b": b.vault,
            "mint_a": a.mint,
            "mint_b": b.mint,
            "program_a": a.program,
            "program_b": b.program,
            "referral": self.format.program,
            "event_authority": EVENT_AUTHORITY,
            "program": self.format.program,
        }
        if self.format is CPMM:
            accounts["observation"] = observation(self.address)
        return self.format.swap(amount, least, accounts, exact_out=exact_out)


def find(get: GetAccount, format_: Format, sold: Pubkey, bought: Pubkey) -> Pool | None:
    """The pool of two mints, in the direction that sells the first; None: there is none."""
    layout = format_.layout
    address = format_.pool(config_of(format_), sold, bought)
    account = get(address)
    if account is None or account.data[:8] != layout.discriminator:
        return None
    data = account.data

    def key(at: int) -> Pubkey:
        return Pubkey.from_bytes(data[at : at + 32])

    mints, vaults = [key(at) for at in layout.mints], [key(at) for at in layout.vaults]
    sides = []
    for mint, vault in zip(mints, vaults, strict=True):
        held = get(vault)
        if held is None:
            return None
        reserve = int.from_bytes(held.data[AMOUNT_AT : AMOUNT_AT + 8], "little")
        sides.append(Side(mint, vault, held.owner, reserve))
    a_to_b = mints[0] == sold
    holder = data if layout.config is None else _config(get, format_)
    rate = int.from_bytes(holder[layout.fee : layout.fee + 8], "little")
    at = 373 if format_ is CPMM else 472
    opens_at = int.from_bytes(data[at : at + 8], "little")
    place, bits = layout.closed
    if data[place] & bits:
        return None
    return Pool(format_, address, sides[not a_to_b], sides[a_to_b], a_to_b, rate, opens_at)


def _config(get: GetAccount, format_: Format) -> bytes:
    account = get(config_of(format_))
    assert account is not None
    return bytes(account.data)
