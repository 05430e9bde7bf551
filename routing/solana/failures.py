"""Why a transaction failed: its error and its logs as a stable code and in words. Pure.

Error numbers are each program's own (6001 is slippage at Jupiter and something else elsewhere), so the number alone says
nothing: the first program that failed, by the logs, decides.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from solders.pubkey import Pubkey

from routing.solana.addresses import ASSOCIATED, SYSTEM, TOKEN, TOKEN_2022, TOKEN_PROGRAMS, pubkey
from routing.solana.programs import KNOWN, SLIPPAGE_EXCEEDED

INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
BLOCKHASH_NOT_FOUND = "BlockhashNotFound"
FAILED = re.compile(r"^Program (\w{32,44}) failed: (?:custom program error: 0x([0-9a-fA-F]+)|(.*))$")
METEORA_DLMM = Pubkey.from_string("LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo")
CODES: Mapping[Pubkey, Mapping[int, str]] = {
    SYSTEM: {1: INSUFFICIENT_FUNDS},
    **{program: {1: INSUFFICIENT_FUNDS} for program in TOKEN_PROGRAMS},
    **{address: program.errors for address, program in KNOWN.items()},
    METEORA_DLMM: {6003: SLIPPAGE_EXCEEDED, 6004: SLIPPAGE_EXCEEDED},
}
NO_FUNDS = frozenset({"InsufficientFundsForFee", "AccountNotFound", "InsufficientFundsForRent"})
"""Errors of the transaction itself; `AccountNotFound` is a payer that never had anything."""
LABELS = {
    SYSTEM: "the system program",
    TOKEN: "SPL Token",
    TOKEN_2022: "Token-2022",
    ASSOCIATED: "the program of token accounts",
}
"""Of programs whose swaps are not read here."""
KEPT_LOGS = 12


class Failure(NamedTuple):
    code: str | None
    """None: no code is known for it."""
    message: str
    logs: tuple[str, ...]
    """The last lines."""


def failure(err: Any, logs: Sequence[str] | None, programs: Sequence[Pubkey] = ()) -> Failure:
    """`err`: Solana's TransactionError in its JSON form; `programs`: of the transaction's instructions, in order."""
    lines = tuple(logs or ())
    kept = lines[-KEPT_LOGS:]
    name, detail = next(iter(err.items())) if isinstance(err, dict) else (str(err), None)
    if name != "InstructionError" or not isinstance(detail, list):
        return Failure(INSUFFICIENT_FUNDS if name in NO_FUNDS else None, name, kept)
    index, why = detail
    number = why.get("Custom") if isinstance(why, dict) else None
    program = programs[index] if index < len(programs) else None
    if (first := _first_failed(lines)) is not None:
        program, number = first[0], first[1] if first[1] is not None else number
    known = KNOWN.get(program) if program is not None else None
    label = known.label if known is not None else LABELS.get(program, str(program)) if program else "a program"
    if number is None:
        return Failure(None, f"{label}: {why}", kept)
    code = CODES.get(program, {}).get(number) if program is not None else None
    return Failure(code, f"{label}: {code or f'error {number}'}", kept)


def _first_failed(lines: Sequence[str]) -> tuple[Pubkey, int | None] | None:
    """The innermost one: a program that fails fails its caller with the same number."""
    for line in lines:
        if found := FAILED.match(line):
            try:
                return pubkey(found[1]), int(found[2], 16) if found[2] else None
            except ValueError:
                continue
    return None
