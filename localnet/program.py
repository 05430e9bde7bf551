"""The pool program, in the wire format it is asked for: a constant-product swap that pays the least amount or fails, or one
for an exact output that takes the most amount or less.

Registers hold what the comments say; the stack frame holds the addresses of the accounts' serialized forms. Input layout:
the loader's (`serialize_parameters` of the Solana runtime): a count, then for each account a byte that is 255 or the
place of an earlier account that it repeats.
"""

from localnet.assembler import FP, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Assembler, Register
from localnet.formats import EXACT_IN, EXACT_OUT, Format

KEY, OWNER, LAMPORTS, LENGTH, BODY = 8, 40, 72, 80, 88
"""Offsets in an account's serialized form."""
GROWTH = 10_240
"""Bytes the runtime leaves behind each account's data."""
MINT, AMOUNT, DECIMALS = 0, 64, 44
"""Offsets in a token account (mint, amount) and in a mint (decimals)."""
TRANSFER_CHECKED = 12


class PoolProgram:
    def __init__(self, format_: Format) -> None:
        self.format = format_
        self.asm = Assembler()
        roles = [*format_.accounts, *(["vault_in", "vault_out", "mint_in", "mint_out", "program_in", "program_out"])]
        # Sides that the format names a and b are put under in and out once the direction is known.
        self.slots = {role: -8 * (place + 1) for place, role in enumerate(dict.fromkeys(roles))}
        base = self.by_output = -8 * (len(self.slots) + 1)
        self._divisions = 0
        self.amount, self.least, self.out = base - 8, base - 16, base - 24
        # The token program's call: instruction, its data, account metas, account infos, seeds, signer, the seed's text.
        self.call_at, self.data_at, self.metas_at = base - 64, base - 80, base - 144
        self.infos_at, self.seeds_at, self.signer_at, self.text_at = base - 368, base - 400, base - 416, base - 448

    def elf(self) -> bytes:
        self._read_accounts()
        self._read_data()
        self._check_pool()
        self._price()
        self._transfer("source", "mint_in", "vault_in", "payer", "program_in", self.amount, signed=False)
        self._transfer("vault_out", "mint_out", "destination", "authority", "program_out", self.out, signed=True)
        self.asm.op("mov", R0, 0)
        self.asm.label("end")
        self.asm.exit()
        errors = {
            "slippage": self.format.slippage,
            "bad_accounts": self.format.bad_accounts,
            "bad_input": self.format.bad_input,
            "nothing": self.format.nothing,
            "overflow": self.format.overflow,
        }
        for label, code in errors.items():
            self.asm.label(label)
            self.asm.op("mov", R0, code)
            self.asm.exit()
        return self.asm.elf()

    def _account(self, register: Register, role: str) -> None:
        self.asm.load(register, FP, self.slots[role])

    def _same(self, left: Register, left_at: int, right: Register, right_at: int, otherwise: str) -> None:
        """Two addresses; r2 and r3 are used."""
        for part in range(0, 32, 8):
            self.asm.load(R2, left, left_at + part)
            self.asm.load(R3, right, right_at + part)
            self.asm.jump_if("jne", R2, R3, otherwise)

    def _read_accounts(self) -> None:
        """Notes where each account lies; r1 moves behind the last one."""
        asm = self.asm
        asm.load(R2, R1, 0)
        asm.jump_if("jne", R2, len(self.format.accounts), "bad_input")
        asm.op("add", R1, 8)
        for place, role in enumerate(self.format.accounts):
            asm.load(R2, R1, 0, 1)
            asm.jump_if("jne", R2, 0xFF, f"repeated{place}")
            asm.store(FP, self.slots[role], R1)
            asm.load(R2, R1, LENGTH)
            asm.op("add", R1, R2)
            asm.op("add", R1, BODY + GROWTH + 7)
            asm.op("and_", R1, -8)
            asm.op("add", R1, 8)  # the rent epoch
            asm.jump(f"read{place}")
            asm.label(f"repeated{place}")
            asm.op("add", R2, 1)
            asm.op("mul", R2, 8)
            asm.op("mov", R3, FP)
            asm.op("sub", R3, R2)
            asm.load(R3, R3, 0)
            asm.store(FP, self.slots[role], R3)
            asm.op("add", R1, 8)
            asm.label(f"read{place}")

    def _read_data(self) -> None:
        """Amount and least amount go to the stack; r1 comes to point to the program's own address."""
        asm, size = self.asm, self.format.data_size
        asm.load(R2, R1, 0)
        asm.jump_if("jne", R2, size, "bad_input")
        asm.load(R2, R1, 8)
        asm.load_wide(R3, int.from_bytes(self.format.discriminator, "little"))
        asm.store(FP, self.by_output, 0)
        if self.format.discriminator_out is not None:
            asm.jump_if("jeq", R2, R3, "known_instruction")
            asm.load_wide(R3, int.from_bytes(self.format.discriminator_out, "little"))
            asm.store(FP, self.by_output, 1)
        asm.jump_if("jne", R2, R3, "bad_input")
        asm.label("known_instruction")
        asm.load(R2, R1, 16)
        asm.jump_if("jeq", R2, 0, "bad_input")
        asm.store(FP, self.amount, R2)
        asm.load(R3, R1, 24)
        asm.store(FP, self.least, R3)
        if size > 24:
            asm.load(R4, R1, 32, 1)
            asm.jump_if("jeq", R4, EXACT_IN, "known_mode")
            asm.jump_if("jne", R4, EXACT_OUT, "bad_input")
            asm.store(FP, self.by_output, 1)
            asm.store(FP, self.amount, R3)
            asm.store(FP, self.least, R2)
            asm.label("known_mode")
        asm.op("add", R1, 8 + size)

    def _check_pool(self) -> None:
        """The pool is this program's and open; vaults and token programs are its own. In and out are known after it."""
        asm, layout = self.asm, self.format.layout
        self._account(R6, "pool")
        self._same(R6, OWNER, R1, 0, "bad_accounts")
        asm.load(R2, R6, LENGTH)
        asm.jump_if("jne", R2, layout.size, "bad_accounts")
        asm.load(R2, R6, BODY)
        asm.load_wide(R3, int.from_bytes(layout.discriminator, "little"))
        asm.jump_if("jne", R2, R3, "bad_accounts")
        place, bits = layout.closed
        asm.load(R2, R6, BODY + place, 1)
        asm.op("and_", R2, bits)
        asm.jump_if("jne", R2, 0, "bad_accounts")
        if layout.config is not None:
            self._account(R7, "config")
            self._same(R7, OWNER, R1, 0, "bad_accounts")
            self._same(R7, KEY, R6, BODY + layout.config, "bad_accounts")
        if self.format.by_side:
            self._sides_to_ways()
        self._account(R7, "vault_in")
        self._account(R8, "vault_out")
        self._side(0, 1, otherwise="other_way")
        asm.jump("known")
        asm.label("other_way")
        self._side(1, 0, otherwise="bad_accounts")
        asm.label("known")

    def _sides_to_ways(self) -> None:
        """The source's mint tells which side comes in."""
        asm = self.asm
        self._account(R7, "source")
        self._account(R8, "mint_a")
        self._same(R7, BODY + MINT, R8, KEY, "sells_b")
        self._name_sides("a", "b")
        asm.jump("named")
        asm.label("sells_b")
        self._name_sides("b", "a")
        asm.label("named")

    def _name_sides(self, sold: str, bought: str) -> None:
        for kind in ("vault", "mint", "program"):
            for way, side in (("in", sold), ("out", bought)):
                self.asm.load(R2, FP, self.slots[f"{kind}_{side}"])
                self.asm.store(FP, self.slots[f"{kind}_{way}"], R2)

    def _side(self, sold: int, bought: int, *, otherwise: str) -> None:
        """r6 the pool, r7 and r8 its vaults. Token programs: as the pool says, else as the vaults are owned."""
        layout = self.format.layout
        self._same(R7, KEY, R6, BODY + layout.vaults[sold], otherwise)
        self._same(R8, KEY, R6, BODY + layout.vaults[bought], "bad_accounts")
        self._account(R9, "mint_in")
        self._same(R9, KEY, R6, BODY + layout.mints[sold], "bad_accounts")
        self._account(R9, "mint_out")
        self._same(R9, KEY, R6, BODY + layout.mints[bought], "bad_accounts")
        for way, vault, side in (("program_in", R7, sold), ("program_out", R8, bought)):
            self._account(R9, way)
            if layout.programs is not None:
                self._same(R9, KEY, R6, BODY + layout.programs[side], "bad_accounts")
            else:
                self._same(R9, KEY, vault, OWNER, "bad_accounts")

    def _fee(self, amount: Register, rate: Register) -> None:
        """amount -= ceil(amount × rate ÷ denominator); r4 and r5 are used. The rate is below the denominator."""
        asm, denominator = self.asm, self.format.fee_denominator
        asm.op("mov", R4, amount)
        asm.op("div", R4, denominator)
        asm.op("mul", R4, rate)
        asm.op("mov", R5, amount)
        asm.op("mod", R5, denominator)
        asm.op("mul", R5, rate)
        asm.op("add", R5, denominator - 1)
        asm.op("div", R5, denominator)
        asm.op("add", R4, R5)
        asm.op("sub", amount, R4)

    def _rate(self, register: Register) -> None:
        self._account(R6, "pool" if self.format.layout.config is None else "config")
        self.asm.load(register, R6, BODY + self.format.layout.fee)

    def _price(self) -> None:
        asm = self.asm
        asm.load(R2, FP, self.by_output)
        asm.jump_if("jne", R2, 0, "by_output")
        self._price_input()
        asm.jump("priced")
        asm.label("by_output")
        self._price_output()
        asm.label("priced")

    def _price_output(self) -> None:
        """paid = reserve_in × out ÷ (reserve_out - out), rounded up, compared with the most amount."""
        asm = self.asm
        asm.load(R2, FP, self.least)
        asm.jump_if("jeq", R2, 0, "nothing")
        asm.store(FP, self.out, R2)
        if self.format.fee_on_output:
            self._before_fee()
            asm.op("mov", R2, R0)
            self._account(R7, "vault_in")
            self._account(R8, "vault_out")
        asm.load(R4, R7, BODY + AMOUNT)
        asm.load(R3, R8, BODY + AMOUNT)
        asm.jump_if("jge", R2, R3, "overflow")
        asm.op("sub", R3, R2)
        self._multiply()
        self._divide_up()
        if not self.format.fee_on_output:
            asm.op("mov", R2, R0)
            self._before_fee()
        asm.load(R2, FP, self.amount)
        asm.jump_if("jgt", R0, R2, "slippage")
        asm.store(FP, self.amount, R0)

    def _before_fee(self) -> None:
        """r0 = r2 × denominator ÷ (denominator - rate), rounded up: of that r2 is left after the fee."""
        asm, denominator = self.asm, self.format.fee_denominator
        self._rate(R4)
        asm.op("mov", R3, denominator)
        asm.op("sub", R3, R4)
        asm.op("mov", R4, denominator)
        self._multiply()
        self._divide_up()

    def _divide_up(self) -> None:
        """r0 = r5:r0 ÷ r3, rounded up; an error where that does not fit."""
        asm = self.asm
        asm.jump_if("jge", R5, R3, "overflow")
        self._divide()
        asm.jump_if("jeq", R5, 0, f"whole{self._divisions}")
        asm.op("add", R0, 1)
        asm.jump_if("jeq", R0, 0, "overflow")
        asm.label(f"whole{self._divisions}")

    def _price_input(self) -> None:
        """out = reserve_out × paid ÷ (reserve_in + paid), compared with the least amount."""
        asm = self.asm
        asm.load(R2, FP, self.amount)
        if not self.format.fee_on_output:
            self._rate(R3)
            self._fee(R2, R3)
        asm.load(R3, R7, BODY + AMOUNT)
        asm.op("add", R3, R2)
        asm.jump_if("jlt", R3, R2, "overflow")
        asm.load(R4, R8, BODY + AMOUNT)
        self._multiply()
        self._divide()
        if self.format.fee_on_output:
            self._rate(R3)
            self._fee(R0, R3)
        asm.jump_if("jeq", R0, 0, "nothing")
        asm.store(FP, self.out, R0)
        asm.load(R2, FP, self.least)
        asm.jump_if("jlt", R0, R2, "slippage")

    def _multiply(self) -> None:
        """r5:r0 = r4 × r2, by 32-bit halves; r1 and r6 to r9 are used."""
        asm = self.asm
        for high, low in ((R6, R4), (R7, R2)):
            asm.op("mov", high, low)
            asm.op("rsh", high, 32)
            asm.op("lsh", low, 32)
            asm.op("rsh", low, 32)
        for product, left, right in ((R0, R4, R2), (R8, R6, R2), (R9, R4, R7), (R5, R6, R7)):
            asm.op("mov", product, left)
            asm.op("mul", product, right)
        for middle in (R8, R9):
            asm.op("mov", R1, middle)
            asm.op("rsh", R1, 32)
            asm.op("add", R5, R1)
            asm.op("lsh", middle, 32)
            asm.op("add", R0, middle)
            carried = f"no_carry{self._divisions}_{int(middle)}"
            asm.jump_if("jge", R0, middle, carried)
            asm.op("add", R5, 1)
            asm.label(carried)

    def _divide(self) -> None:
        """r0 = r5:r0 ÷ r3, bit by bit; r5 becomes the remainder. r5 < r3 at the start: what is paid is below the divisor."""
        asm = self.asm
        self._divisions += 1
        bit, subtract, next_bit = (f"{name}{self._divisions}" for name in ("bit", "subtract", "next_bit"))
        asm.op("mov", R1, 64)
        asm.label(bit)
        asm.op("mov", R2, R5)
        asm.op("rsh", R2, 63)
        asm.op("lsh", R5, 1)
        asm.op("mov", R4, R0)
        asm.op("rsh", R4, 63)
        asm.op("or_", R5, R4)
        asm.op("lsh", R0, 1)
        asm.jump_if("jne", R2, 0, subtract)
        asm.jump_if("jlt", R5, R3, next_bit)
        asm.label(subtract)
        asm.op("sub", R5, R3)
        asm.op("or_", R0, 1)
        asm.label(next_bit)
        asm.op("sub", R1, 1)
        asm.jump_if("jne", R1, 0, bit)

    def _transfer(
        self, source: str, mint: str, destination: str, authority: str, program: str, amount: int, *, signed: bool
    ) -> None:
        """TransferChecked by the token program: both programs take it, and a token with a transfer fee takes no other."""
        asm = self.asm
        self._account(R6, program)
        asm.op("add", R6, KEY)
        asm.store(FP, self.call_at, R6)
        for offset, value in ((8, self.metas_at), (24, self.data_at)):
            asm.op("mov", R2, FP)
            asm.op("add", R2, value)
            asm.store(FP, self.call_at + offset, R2)
        asm.store(FP, self.call_at + 16, 4)
        asm.store(FP, self.call_at + 32, 10)
        asm.store(FP, self.data_at, TRANSFER_CHECKED, 1)
        asm.load(R2, FP, amount)
        asm.store(FP, self.data_at + 1, R2)
        self._account(R6, mint)
        asm.load(R2, R6, BODY + DECIMALS, 1)
        asm.store(FP, self.data_at + 9, R2, 1)
        parts = ((source, True, False), (mint, False, False), (destination, True, False), (authority, False, True))
        for place, (role, writes, signs) in enumerate(parts):
            self._pass_account(place, role, writes, signs)
        for register, at in ((R1, self.call_at), (R2, self.infos_at)):
            asm.op("mov", register, FP)
            asm.op("add", register, at)
        asm.op("mov", R3, len(parts))
        asm.op("mov", R4, 0)
        asm.op("mov", R5, 0)
        if signed:
            self._sign()
        asm.call("sol_invoke_signed_c")
        asm.jump_if("jne", R0, 0, "end")

    def _pass_account(self, place: int, role: str, writes: bool, signs: bool) -> None:
        """Its SolAccountMeta and SolAccountInfo."""
        asm = self.asm
        meta, info = self.metas_at + 16 * place, self.infos_at + 56 * place
        self._account(R6, role)
        asm.op("mov", R2, R6)
        asm.op("add", R2, KEY)
        asm.store(FP, meta, R2)
        asm.store(FP, meta + 8, writes | signs << 8)
        asm.store(FP, info, R2)
        for offset, field in ((8, LAMPORTS), (24, BODY), (32, OWNER)):
            asm.op("mov", R2, R6)
            asm.op("add", R2, field)
            asm.store(FP, info + offset, R2)
        asm.load(R3, R6, LENGTH)
        asm.store(FP, info + 16, R3)
        asm.store(FP, info + 40, 0)
        asm.store(FP, info + 48, 0)
        for flag, offset in ((1, 48), (2, 49), (3, 50)):
            asm.load(R2, R6, flag, 1)
            asm.store(FP, info + offset, R2, 1)

    def _sign(self) -> None:
        """The authority signs by its seeds: the format's text and the bump. r4 and r5 are set for the call."""
        asm, seed = self.asm, self.format.authority_seed
        for part in range(0, len(seed), 8):
            asm.load_wide(R4, int.from_bytes(seed[part : part + 8].ljust(8, b"\0"), "little"))
            asm.store(FP, self.text_at + part, R4)
        asm.op("mov", R4, FP)
        asm.op("add", R4, self.text_at)
        asm.store(FP, self.seeds_at, R4)
        asm.store(FP, self.seeds_at + 8, len(seed))
        if self.format.layout.bump is not None:
            self._account(R4, "pool")
            asm.op("add", R4, BODY + self.format.layout.bump)
        else:
            asm.store(FP, self.data_at + 15, self.format.authority[1], 1)
            asm.op("mov", R4, FP)
            asm.op("add", R4, self.data_at + 15)
        asm.store(FP, self.seeds_at + 16, R4)
        asm.store(FP, self.seeds_at + 24, 1)
        asm.op("mov", R4, FP)
        asm.op("add", R4, self.seeds_at)
        asm.store(FP, self.signer_at, R4)
        asm.store(FP, self.signer_at + 8, 2)
        asm.op("mov", R4, FP)
        asm.op("add", R4, self.signer_at)
        asm.op("mov", R5, 1)


def assembled(format_: Format) -> bytes:
    """The program's ELF file."""
    return PoolProgram(format_).elf()
