"""Jupiter's program, as far as `route` says: it calls the pools' programs with a part of the amount each, and fails unless the
destination then has the quoted amount less the slippage.

The stack frame holds the addresses of the accounts' serialized forms, then what the call of a pool's program is made of. Input
layout: see `program`.
"""

import struct
from dataclasses import fields

from localnet.assembler import FP, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Assembler, Register
from localnet.formats import EXACT_IN, FORMATS, Format
from localnet.program import AMOUNT, BODY, GROWTH, KEY, LAMPORTS, LENGTH, OWNER
from localnet.route import (
    DESTINATION,
    DISCRIMINATOR,
    ERRORS,
    HEAD,
    ITSELF,
    KINDS,
    MAX_ACCOUNTS,
    MAX_STEPS,
    OWN_ACCOUNTS,
    RECEIVER,
    STEP,
    WHOLE_BPS,
)

META_BYTES, INFO_BYTES = 16, 56
MOST_IN_CALL = 16
"""Accounts of a pool's swap."""
SIGNER_AT, WRITABLE_AT, EXECUTABLE_AT = 1, 2, 3
"""Flags in an account's serialized form."""


class RouteProgram:
    def __init__(self) -> None:
        self.asm = Assembler()
        places = (
            "amount",
            "quoted",
            "slippage",
            "left",
            "parts",
            "steps",
            "step",
            "next",
            "end",
            "before",
            "part",
            "count",
        )
        self.at = {name: -8 * (n + 1) for n, name in enumerate(places)}
        self.call_at = min(self.at.values()) - 40
        self.data_at = self.call_at - 32
        self.table_at = self.data_at - 8 * MAX_ACCOUNTS
        self.metas_at = self.table_at - META_BYTES * MOST_IN_CALL
        self.infos_at = self.metas_at - INFO_BYTES * MOST_IN_CALL

    def elf(self) -> bytes:
        self._read_accounts()
        self._read_data()
        self._remember_balance()
        self._take_steps()
        self._check_paid()
        self.asm.op("mov", R0, 0)
        self.asm.label("end")
        self.asm.exit()
        for each in fields(ERRORS):
            self.asm.label(each.name)
            self.asm.op("mov", R0, getattr(ERRORS, each.name))
            self.asm.exit()
        return self.asm.elf()

    def _load(self, register: Register, name: str) -> None:
        self.asm.load(register, FP, self.at[name])

    def _store(self, name: str, value: Register | int) -> None:
        self.asm.store(FP, self.at[name], value)

    def _own(self, register: Register, place: int) -> None:
        """One of the accounts of the program's own."""
        self.asm.load(register, FP, self.table_at + 8 * place)

    def _address(self, register: Register, offset: int) -> None:
        self.asm.op("mov", register, FP)
        self.asm.op("add", register, offset)

    def _read_accounts(self) -> None:
        """Notes where each account lies; r6 moves behind the last one, r8 behind the last note."""
        asm = self.asm
        asm.op("mov", R6, R1)
        asm.load(R7, R6, 0)
        asm.jump_if("jgt", R7, MAX_ACCOUNTS, "not_enough_accounts")
        asm.jump_if("jlt", R7, OWN_ACCOUNTS, "not_enough_accounts")
        asm.op("add", R6, 8)
        self._address(R8, self.table_at)
        asm.label("account")
        asm.jump_if("jeq", R7, 0, "accounts_read")
        asm.load(R2, R6, 0, 1)
        asm.jump_if("jne", R2, 0xFF, "repeated")
        asm.store(R8, 0, R6)
        asm.load(R2, R6, LENGTH)
        asm.op("add", R6, R2)
        asm.op("add", R6, BODY + GROWTH + 7)
        asm.op("and_", R6, -8)
        asm.jump("next_account")
        asm.label("repeated")
        asm.op("mul", R2, 8)
        self._address(R3, self.table_at)
        asm.op("add", R3, R2)
        asm.load(R3, R3, 0)
        asm.store(R8, 0, R3)
        asm.label("next_account")
        asm.op("add", R6, 8)
        asm.op("add", R8, 8)
        asm.op("sub", R7, 1)
        asm.jump("account")
        asm.label("accounts_read")
        self._store("end", R8)
        self._address(R2, self.table_at + 8 * OWN_ACCOUNTS)
        self._store("next", R2)

    def _read_data(self) -> None:
        """The numbers go to the stack, and where the steps begin."""
        asm, head = self.asm, len(DISCRIMINATOR)
        asm.load(R7, R6, 0)
        asm.op("add", R6, 8)
        asm.jump_if("jlt", R7, head + HEAD.size, "unknown_instruction")
        asm.load(R2, R6, 0)
        asm.load_wide(R3, int.from_bytes(DISCRIMINATOR, "little"))
        asm.jump_if("jne", R2, R3, "unknown_instruction")
        for name, offset, size in (("amount", 0, 8), ("quoted", 8, 8), ("slippage", 16, 2), ("steps", 22, 4)):
            asm.load(R2, R6, head + offset, size)
            self._store(name, R2)
        for offset in (18, 20):
            asm.load(R2, R6, head + offset, 2)
            asm.jump_if("jne", R2, 0, "missing_platform_fee_account")
        self._load(R2, "slippage")
        asm.jump_if("jgt", R2, WHOLE_BPS, "invalid_slippage")
        self._load(R2, "steps")
        asm.jump_if("jeq", R2, 0, "empty_route")
        asm.jump_if("jgt", R2, MAX_STEPS, "invalid_route_plan")
        asm.op("mul", R2, STEP.size)
        asm.op("add", R2, head + HEAD.size)
        asm.jump_if("jne", R7, R2, "unknown_instruction")
        asm.op("add", R6, head + HEAD.size)
        self._store("step", R6)
        self._load(R2, "amount")
        self._store("left", R2)
        self._store("parts", 0)

    def _remember_balance(self) -> None:
        """Nobody else is paid; what the destination has before."""
        asm = self.asm
        self._own(R6, RECEIVER)
        self._own(R7, ITSELF)
        for part in range(0, 32, 8):
            asm.load(R2, R6, KEY + part)
            asm.load(R3, R7, KEY + part)
            asm.jump_if("jne", R2, R3, "invalid_output_account")
        self._own(R6, DESTINATION)
        asm.load(R2, R6, BODY + AMOUNT)
        self._store("before", R2)

    def _take_steps(self) -> None:
        asm = self.asm
        asm.label("step")
        self._load(R6, "step")
        asm.load(R2, R6, 3, 1)
        asm.jump_if("jne", R2, 0, "invalid_input_index")
        asm.load(R2, R6, 4, 1)
        asm.jump_if("jne", R2, 1, "invalid_output_index")
        self._share()
        asm.load(R9, R6, 0, 1)
        self._load(R8, "next")
        asm.load(R7, R8, 0)
        for format_ in FORMATS.values():
            asm.jump_if("jne", R9, KINDS[format_.name], f"not_{format_.name}")
            self._of(format_)
            asm.jump("call")
            asm.label(f"not_{format_.name}")
        asm.jump("swap_not_supported")
        asm.label("call")
        self._call()
        self._load(R2, "step")
        asm.op("add", R2, STEP.size)
        self._store("step", R2)
        self._load(R2, "steps")
        asm.op("sub", R2, 1)
        self._store("steps", R2)
        asm.jump_if("jne", R2, 0, "step")
        self._load(R2, "parts")
        asm.jump_if("jne", R2, WHOLE_BPS, "not_enough_percent")

    def _share(self) -> None:
        """The step's part of the amount, rounded down; the last one sells what is left. r6: the step."""
        asm = self.asm
        asm.load(R3, R6, 1, 2)
        self._load(R2, "parts")
        asm.op("add", R2, R3)
        self._store("parts", R2)
        self._load(R4, "left")
        self._load(R2, "steps")
        asm.jump_if("jeq", R2, 1, "part_known")
        self._load(R2, "amount")
        self._scaled(R2, R3)
        asm.op("mov", R4, R2)
        asm.label("part_known")
        self._load(R2, "left")
        asm.jump_if("jgt", R4, R2, "not_enough_percent")
        asm.op("sub", R2, R4)
        self._store("left", R2)
        self._store("part", R4)

    def _scaled(self, amount: Register, bps: Register) -> None:
        """amount = amount × bps ÷ 10,000, rounded down; r5 is used. bps is 10,000 at most, so nothing overflows."""
        asm = self.asm
        asm.op("mov", R5, amount)
        asm.op("mod", R5, WHOLE_BPS)
        asm.op("mul", R5, bps)
        asm.op("div", R5, WHOLE_BPS)
        asm.op("div", amount, WHOLE_BPS)
        asm.op("mul", amount, bps)
        asm.op("add", amount, R5)

    def _of(self, format_: Format) -> None:
        """The call of this program, which the step's first account has to be; its least output is 0. r7: that account."""
        asm, address = self.asm, struct.unpack("<4Q", bytes(format_.program))
        for part, word in enumerate(address):
            asm.load(R2, R7, KEY + 8 * part)
            asm.load_wide(R3, word)
            asm.jump_if("jne", R2, R3, "invalid_route_plan")
        asm.load_wide(R2, int.from_bytes(format_.discriminator, "little"))
        asm.store(FP, self.data_at, R2)
        self._load(R2, "part")
        asm.store(FP, self.data_at + 8, R2)
        asm.store(FP, self.data_at + 16, 0)
        asm.store(FP, self.data_at + 24, EXACT_IN)
        asm.store(FP, self.call_at + 32, format_.data_size)
        self._store("count", len(format_.accounts))

    def _call(self) -> None:
        """With the accounts that follow the program's; flags are the caller's. r7: the program's account."""
        asm = self.asm
        asm.op("add", R7, KEY)
        asm.store(FP, self.call_at, R7)
        for offset, value in ((8, self.metas_at), (24, self.data_at)):
            self._address(R2, value)
            asm.store(FP, self.call_at + offset, R2)
        self._load(R5, "count")
        asm.store(FP, self.call_at + 16, R5)
        self._load(R8, "next")
        asm.op("add", R8, 8)
        asm.op("mov", R2, R5)
        asm.op("mul", R2, 8)
        asm.op("add", R2, R8)
        self._store("next", R2)
        self._load(R3, "end")
        asm.jump_if("jgt", R2, R3, "not_enough_accounts")
        self._address(R7, self.metas_at)
        self._address(R9, self.infos_at)
        asm.label("pass")
        self._pass_account()
        asm.op("add", R8, 8)
        asm.op("add", R7, META_BYTES)
        asm.op("add", R9, INFO_BYTES)
        asm.op("sub", R5, 1)
        asm.jump_if("jne", R5, 0, "pass")
        self._address(R1, self.call_at)
        self._address(R2, self.infos_at)
        self._load(R3, "count")
        asm.op("mov", R4, 0)
        asm.op("mov", R5, 0)
        asm.call("sol_invoke_signed_c")
        asm.jump_if("jne", R0, 0, "end")

    def _pass_account(self) -> None:
        """The SolAccountMeta at r7 and the SolAccountInfo at r9, of the account that is noted at r8."""
        asm = self.asm
        asm.load(R6, R8, 0)
        asm.op("mov", R2, R6)
        asm.op("add", R2, KEY)
        asm.store(R7, 0, R2)
        asm.store(R9, 0, R2)
        for offset, field in ((8, LAMPORTS), (24, BODY), (32, OWNER)):
            asm.op("mov", R2, R6)
            asm.op("add", R2, field)
            asm.store(R9, offset, R2)
        asm.load(R2, R6, LENGTH)
        asm.store(R9, 16, R2)
        asm.store(R9, 40, 0)
        asm.store(R9, 48, 0)
        for flag, in_meta, in_info in ((WRITABLE_AT, 8, 49), (SIGNER_AT, 9, 48), (EXECUTABLE_AT, None, 50)):
            asm.load(R2, R6, flag, 1)
            asm.store(R9, in_info, R2, 1)
            if in_meta is not None:
                asm.store(R7, in_meta, R2, 1)

    def _check_paid(self) -> None:
        """What has come is the quoted amount less the slippage, rounded down, or more."""
        asm = self.asm
        self._own(R6, DESTINATION)
        asm.load(R4, R6, BODY + AMOUNT)
        self._load(R2, "before")
        asm.op("sub", R4, R2)
        self._load(R2, "quoted")
        self._load(R6, "slippage")
        asm.op("mov", R3, WHOLE_BPS)
        asm.op("sub", R3, R6)
        self._scaled(R2, R3)
        asm.jump_if("jlt", R4, R2, "slippage_exceeded")


def assembled() -> bytes:
    """The program's ELF file."""
    return RouteProgram().elf()
