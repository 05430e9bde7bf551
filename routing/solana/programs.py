"""The pool programs whose swaps this engine builds and reads: their instructions, accounts and errors, byte by byte.

Facts from the programs' public interface descriptions (IDL): Raydium `raydium_cp_swap`, Meteora `cp_amm` 0.2.5. A program or an
instruction that is not known here is never signed: nothing else tells what a transaction accepts at least.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from routing.solana.addresses import TOKEN_PROGRAMS, associated_account

SLIPPAGE_EXCEEDED = "SLIPPAGE_EXCEEDED"


class UnknownLayout(ValueError):
    """The instruction is not one that this engine can read."""


@dataclass(frozen=True, slots=True)
class Side:
    """One token of a pool."""

    mint: Pubkey
    vault: Pubkey
    program: Pubkey
    """The token's program."""


@dataclass(frozen=True, slots=True)
class SwapRead:
    """What a swap instruction says."""

    payer: Pubkey
    pool: Pubkey
    source: Pubkey
    destination: Pubkey
    sides: tuple[Side, Side]
    """For a program that names them so, what is sold first."""
    amount: int
    """What it sells; with `exact_out` the most."""
    least: int
    """What it accepts at least; with `exact_out` just what it buys."""
    config: Pubkey | None = None
    exact_out: bool = False

    def directed(self, wallet: Pubkey) -> tuple[Side, Side]:
        """(sold, bought): source and destination are the wallet's own associated accounts of two sides.

        Raises `UnknownLayout` where they are not.
        """
        for sold, bought in (self.sides, self.sides[::-1]):
            own = [associated_account(wallet, side.mint, side.program) for side in (sold, bought)]
            if own == [self.source, self.destination]:
                return sold, bought
        raise UnknownLayout("it sells from or pays to an account that is not the wallet's own")


class SwapProgram(Protocol):
    @property
    def address(self) -> Pubkey: ...

    @property
    def label(self) -> str: ...

    @property
    def errors(self) -> Mapping[int, str]:
        """The program's error number → stable code."""
        ...

    def read(self, data: bytes, accounts: Sequence[Pubkey]) -> SwapRead:
        """Raises `UnknownLayout`."""
        ...

    def bounded(self, data: bytes, least: int) -> bytes:
        """The same instruction, one for an exact input, with this least output in place of its own. `read` has to know it."""
        ...

    def for_output(self, most: int, wanted: int) -> bytes:
        """The data of an instruction with the same accounts that buys exactly `wanted` for `most` at most.

        Raises `UnknownLayout` where the program has none that is known.
        """
        ...


def _with_least(data: bytes, least: int) -> bytes:
    """Of programs whose instructions begin with discriminator, amount and least output."""
    return data[:16] + struct.pack("<Q", least) + data[24:]


def _checked(read: SwapRead) -> SwapRead:
    if not all(side.program in TOKEN_PROGRAMS for side in read.sides):
        raise UnknownLayout("a side's token program is none")
    if not read.amount or not read.least:
        raise UnknownLayout("it sells nothing, or accepts nothing for it")
    return read


class RaydiumCpmm:
    """`swap_base_input` sells exactly `amount` and pays `least` or fails; `swap_base_output` pays exactly `least` and takes
    `amount` at most or fails. Both have the same accounts.
    """

    address = Pubkey.from_string("CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C")
    label = "Raydium CPMM"
    errors = {6005: SLIPPAGE_EXCEEDED}
    authority = Pubkey.find_program_address([b"vault_and_lp_mint_auth_seed"], address)[0]
    _discriminator = bytes.fromhex("8fbe5adac41e33de")
    _exact_out = bytes.fromhex("37d96256a34ab4ad")

    def read(self, data: bytes, accounts: Sequence[Pubkey]) -> SwapRead:
        """See `SwapProgram`."""
        if len(data) != 24 or data[:8] not in (self._discriminator, self._exact_out) or len(accounts) != 13:
            raise UnknownLayout(f"{self.label} is called in a way that is not known")
        amount, least = struct.unpack_from("<QQ", data, 8)
        sold = Side(accounts[10], accounts[6], accounts[8])
        bought = Side(accounts[11], accounts[7], accounts[9])
        return _checked(
            SwapRead(
                accounts[0],
                accounts[3],
                accounts[4],
                accounts[5],
                (sold, bought),
                amount,
                least,
                config=accounts[2],
                exact_out=data[:8] == self._exact_out,
            )
        )

    def bounded(self, data: bytes, least: int) -> bytes:
        """See `SwapProgram`."""
        return _with_least(data, least)

    def swap(self, read: SwapRead, observation: Pubkey) -> Instruction:
        """The instruction that says so."""
        (sold, bought), config = read.sides, read.config
        assert config is not None
        accounts = (
            AccountMeta(read.payer, True, False),
            AccountMeta(self.authority, False, False),
            AccountMeta(config, False, False),
            *(AccountMeta(key, False, True) for key in (read.pool, read.source, read.destination)),
            *(AccountMeta(key, False, True) for key in (sold.vault, bought.vault)),
            *(AccountMeta(key, False, False) for key in (sold.program, bought.program, sold.mint, bought.mint)),
            AccountMeta(observation, False, True),
        )
        data = self._discriminator + struct.pack("<QQ", read.amount, read.least)
        if read.exact_out:
            data = self.for_output(read.amount, read.least)
        return Instruction(self.address, data, [*accounts])

    def for_output(self, most: int, wanted: int) -> bytes:
        """See `SwapProgram`."""
        return self._exact_out + struct.pack("<QQ", most, wanted)


class MeteoraDamm:
    """`swap2` of DAMM v2 with exact input or exact output.

    Its accounts name the pool's sides a and b; the source's mint says what is sold.
    """

    address = Pubkey.from_string("cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG")
    label = "Meteora DAMM v2"
    errors = {6002: SLIPPAGE_EXCEEDED}
    authority = Pubkey.find_program_address([b"pool_authority"], address)[0]
    events = Pubkey.find_program_address([b"__event_authority"], address)[0]
    _discriminator = bytes.fromhex("414b3f4ceb5b5b88")
    _exact_in, _exact_out = b"\0", b"\2"

    def read(self, data: bytes, accounts: Sequence[Pubkey]) -> SwapRead:
        """See `SwapProgram`. One with a referral is not known: the engine never names one."""
        mode = data[24:]
        known = len(data) == 25 and data[:8] == self._discriminator and mode in (self._exact_in, self._exact_out)
        if not known or len(accounts) != 14 or accounts[11] != self.address:
            raise UnknownLayout(f"{self.label} is called in a way that is not known")
        amount, least = struct.unpack_from("<QQ", data, 8)
        if exact_out := mode == self._exact_out:
            amount, least = least, amount
        sides = Side(accounts[6], accounts[4], accounts[9]), Side(accounts[7], accounts[5], accounts[10])
        return _checked(
            SwapRead(accounts[8], accounts[1], accounts[2], accounts[3], sides, amount, least, exact_out=exact_out)
        )

    def bounded(self, data: bytes, least: int) -> bytes:
        """See `SwapProgram`."""
        return _with_least(data, least)

    def swap(self, read: SwapRead) -> Instruction:
        """The instruction that says so; `read.sides` are the pool's a and b."""
        a, b = read.sides
        accounts = (
            AccountMeta(self.authority, False, False),
            *(AccountMeta(key, False, True) for key in (read.pool, read.source, read.destination, a.vault, b.vault)),
            *(AccountMeta(key, False, False) for key in (a.mint, b.mint)),
            AccountMeta(read.payer, True, False),
            *(
                AccountMeta(key, False, False)
                for key in (a.program, b.program, self.address, self.events, self.address)
            ),
        )
        data = self._discriminator + struct.pack("<QQ", read.amount, read.least) + self._exact_in
        if read.exact_out:
            data = self.for_output(read.amount, read.least)
        return Instruction(self.address, data, [*accounts])

    def for_output(self, most: int, wanted: int) -> bytes:
        """See `SwapProgram`."""
        return self._discriminator + struct.pack("<QQ", wanted, most) + self._exact_out


class JupiterRouter:
    """`route_v2` and `shared_accounts_route_v2`: a swap over pools that Jupiter's program calls by its own list.

    The program pays `quoted` less the slippage or fails. Its shares are 0: of what is paid, and of what is paid beyond `quoted`.
    """

    address = Pubkey.from_string("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4")
    label = "Jupiter"
    errors = {6001: SLIPPAGE_EXCEEDED, 6024: "INSUFFICIENT_FUNDS"}
    _layouts = {
        # Discriminator → where the numbers begin, how many accounts are the program's own, and which they are: the wallet,
        # source, destination, the first of two mints and of their two programs, whoever is paid instead, the program itself.
        bytes.fromhex("bb64facc31c4af14"): (8, 10, (0, 1, 2, 3, 5, 7, 9)),
        bytes.fromhex("d19853937cfed8e9"): (9, 12, (1, 2, 5, 6, 8, None, 11)),
    }

    def read(self, data: bytes, accounts: Sequence[Pubkey]) -> SwapRead:
        """See `SwapProgram`. `pool` and vaults are the program itself: which pools it takes, its caller does not decide."""
        at, own, places = self._layouts.get(data[:8], (0, 0, ()))
        if not places or len(data) < at + 26 or len(accounts) < own:
            raise UnknownLayout(f"{self.label} is called in a way that is not known")
        wallet, source, destination, mint, program, instead, itself = places
        amount, quoted, slippage, *shares = struct.unpack_from("<QQHHH", data, at)
        paid_elsewhere = instead is not None and accounts[instead] not in (self.address, accounts[destination])
        if any(shares) or slippage >= 10_000 or paid_elsewhere or accounts[itself] != self.address:
            raise UnknownLayout(f"{self.label} would keep a share, or pay somebody else")
        sides = [Side(accounts[mint + n], self.address, accounts[program + n]) for n in (0, 1)]
        # Rounded down: the program itself is never below that.
        least = quoted * (10_000 - slippage) // 10_000
        return _checked(
            SwapRead(
                accounts[wallet],
                self.address,
                accounts[source],
                accounts[destination],
                (sides[0], sides[1]),
                amount,
                least,
            )
        )

    def bounded(self, data: bytes, least: int) -> bytes:
        """See `SwapProgram`: quoted as the least itself, without a slippage, so that no rounding is left to the program."""
        at = self._layouts[data[:8]][0]
        return data[: at + 8] + struct.pack("<QH", least, 0) + data[at + 18 :]

    def for_output(self, most: int, wanted: int) -> bytes:
        """See `SwapProgram`. Its pools are the proposal's, so an exact output would need one of its own."""
        raise UnknownLayout(f"{self.label} is not called for an exact output")


RAYDIUM_CPMM, METEORA_DAMM, JUPITER = RaydiumCpmm(), MeteoraDamm(), JupiterRouter()
DIRECT: Mapping[Pubkey, SwapProgram] = {each.address: each for each in (RAYDIUM_CPMM, METEORA_DAMM)}
"""Those whose swaps are built here."""
KNOWN: Mapping[Pubkey, SwapProgram] = {**DIRECT, JUPITER.address: JUPITER}
"""Those whose swaps can be read, whoever built them."""


def program_of(programs: Mapping[Pubkey, SwapProgram], swap: Instruction) -> SwapProgram:
    """The one of `programs` that the swap calls, in a way that can be read. Raises `UnknownLayout`."""
    program = programs.get(swap.program_id)
    if program is None:
        raise UnknownLayout(f"the swap calls {swap.program_id}, which is not read here")
    program.read(bytes(swap.data), [meta.pubkey for meta in swap.accounts])
    return program
