"""An assembler for sBPF version 0, and the ELF file that Solana's loader accepts.

It covers what the pool programs need: 64-bit arithmetic, conditional jumps to labels, loads and stores, and system
calls, which are the only relocations. Instruction encoding: https://www.kernel.org/doc/html/latest/bpf/standardization/
instruction-set.html; section and relocation rules: the loader of solana-sbpf (`elf.rs`).
"""

import struct

ARITHMETIC = {
    "add": 0x07,
    "sub": 0x17,
    "mul": 0x27,
    "div": 0x37,
    "or_": 0x47,
    "and_": 0x57,
    "lsh": 0x67,
    "rsh": 0x77,
    "mod": 0x97,
    "mov": 0xB7,
}
JUMPS = {"jeq": 0x15, "jgt": 0x25, "jge": 0x35, "jne": 0x55, "jlt": 0xA5, "jle": 0xB5}
LOAD = {1: 0x71, 2: 0x69, 4: 0x61, 8: 0x79}
STORE_IMMEDIATE = {1: 0x72, 2: 0x6A, 4: 0x62, 8: 0x7A}
STORE_REGISTER = {1: 0x73, 2: 0x6B, 4: 0x63, 8: 0x7B}
FROM_REGISTER = 8
"""Added to an operation's code when its second operand is a register."""
JUMP_ALWAYS, LOAD_WIDE, CALL, EXIT = 0x05, 0x18, 0x85, 0x95
MACHINE_BPF = 247
RELOCATION_64_32 = 10
"""R_BPF_64_32: the loader puts a system call's hash in place of the operand."""


class Register(int):
    """r0 to r10 (r10, `FP`, is the read-only end of the stack frame)."""


R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP = (Register(number) for number in range(11))
Operand = Register | int


class Assembler:
    """Instructions in the order they are called; `elf()` resolves the labels."""

    def __init__(self) -> None:
        self._code = bytearray()
        self._labels: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []
        self._calls: list[tuple[int, str]] = []

    def _put(self, code: int, target: int = 0, source: int = 0, offset: int = 0, immediate: int = 0) -> None:
        self._code += struct.pack("<BBhI", code, target | source << 4, offset, immediate & 0xFFFFFFFF)

    def op(self, name: str, target: Register, value: Operand) -> None:
        """`target = target <name> value`; an immediate is 32 bits, signed."""
        code = ARITHMETIC[name]
        if isinstance(value, Register):
            self._put(code | FROM_REGISTER, target, value)
        else:
            self._put(code, target, immediate=value)

    def jump_if(self, name: str, left: Register, right: Operand, label: str) -> None:
        """Unsigned comparison."""
        self._jumps.append((len(self._code), label))
        code = JUMPS[name]
        if isinstance(right, Register):
            self._put(code | FROM_REGISTER, left, right)
        else:
            self._put(code, left, immediate=right)

    def jump(self, label: str) -> None:
        self._jumps.append((len(self._code), label))
        self._put(JUMP_ALWAYS)

    def label(self, name: str) -> None:
        if name in self._labels:
            raise ValueError(f"the label {name} stands twice")
        self._labels[name] = len(self._code)

    def load(self, target: Register, base: Register, offset: int, size: int = 8) -> None:
        self._put(LOAD[size], target, base, offset)

    def store(self, base: Register, offset: int, value: Operand, size: int = 8) -> None:
        if isinstance(value, Register):
            self._put(STORE_REGISTER[size], base, value, offset)
        else:
            self._put(STORE_IMMEDIATE[size], base, offset=offset, immediate=value)

    def load_wide(self, target: Register, value: int) -> None:
        """A 64-bit immediate; it takes two places."""
        self._put(LOAD_WIDE, target, immediate=value)
        self._put(0, immediate=value >> 32)

    def call(self, system_call: str) -> None:
        """Arguments in r1 to r5, the answer in r0; r6 to r9 are kept."""
        self._calls.append((len(self._code), system_call))
        self._put(CALL, source=1, immediate=-1)

    def exit(self) -> None:
        self._put(EXIT)

    def elf(self) -> bytes:
        """The program as a shared object: text, dynamic table, symbols and relocations."""
        for at, label in self._jumps:
            struct.pack_into("<h", self._code, at + 2, (self._labels[label] - at) // 8 - 1)
        return _object_file(bytes(self._code), self._calls)


def _object_file(code: bytes, calls: list[tuple[int, str]]) -> bytes:
    text_at = 64 + 3 * 56
    dynamic_at = text_at + len(code)
    symbols_at = dynamic_at + 7 * 16
    symbols, strings = bytes(24), b"\0entrypoint\0"
    symbols += struct.pack("<IBBHQQ", 1, 0x12, 0, 1, text_at, len(code))
    places: dict[str, int] = {}
    for name in sorted({name for _, name in calls}):
        places[name] = len(symbols) // 24
        symbols += struct.pack("<IBBHQQ", len(strings), 0x10, 0, 0, 0, 0)
        strings += name.encode() + b"\0"
    strings_at = symbols_at + len(symbols)
    strings = _padded(strings)
    relocations_at = strings_at + len(strings)
    relocations = b"".join(
        struct.pack("<QQ", text_at + at, places[name] << 32 | RELOCATION_64_32) for at, name in calls
    )
    # DT_REL, DT_RELSZ, DT_RELENT, DT_SYMTAB, DT_SYMENT, DT_STRTAB, DT_NULL
    entries = (
        (17, relocations_at),
        (18, len(relocations)),
        (19, 16),
        (6, symbols_at),
        (11, 24),
        (5, strings_at),
        (0, 0),
    )
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    names = _padded(b"\0.text\0.dynamic\0.dynsym\0.dynstr\0.rel.dyn\0.shstrtab\0")
    names_at = relocations_at + len(relocations)
    table_at = names_at + len(names)

    def section(
        name: str,
        kind: int,
        flags: int,
        at: int,
        size: int,
        link: int = 0,
        info: int = 0,
        align: int = 8,
        entry: int = 0,
    ) -> bytes:
        place = names.index(b"\0" + name.encode() + b"\0") + 1
        address = 0 if name == ".shstrtab" else at
        return struct.pack("<IIQQQQIIQQ", place, kind, flags, address, at, size, link, info, align, entry)

    sections = b"".join(
        (
            bytes(64),
            section(".text", 1, 6, text_at, len(code)),
            section(".dynamic", 6, 3, dynamic_at, len(dynamic), 4, entry=16),
            section(".dynsym", 11, 2, symbols_at, len(symbols), 4, 1, entry=24),
            section(".dynstr", 3, 2, strings_at, len(strings), align=1),
            section(".rel.dyn", 9, 2, relocations_at, len(relocations), 3, entry=16),
            section(".shstrtab", 3, 0, names_at, len(names), align=1),
        )
    )

    def segment(kind: int, flags: int, at: int, size: int) -> bytes:
        return struct.pack("<IIQQQQQQ", kind, flags, at, at, at, size, size, 8)

    segments = (
        segment(1, 5, text_at, len(code))
        + segment(1, 4, dynamic_at, relocations_at + len(relocations) - dynamic_at)
        + segment(2, 6, dynamic_at, len(dynamic))
    )
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, MACHINE_BPF, 1, text_at, 64, table_at, 0, 64, 56, 3, 64, 7, 6)
    return header + segments + code + dynamic + symbols + strings + relocations + names + sections


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)
