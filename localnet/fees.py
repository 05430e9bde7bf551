"""What transactions bid for their place in a block."""

from typing import Any

from solders.compute_budget import ID as COMPUTE_BUDGET

SET_PRICE = 3
"""ComputeBudget's instruction `SetComputeUnitPrice`: one byte, then micro-lamports a unit as u64."""
SIGNATURE_LAMPORTS = 5_000


def price_of(message: Any) -> int:
    """Micro-lamports a compute unit that a message of any version bids; 0 where it bids nothing."""
    keys = message.account_keys
    for instruction in message.instructions:
        if keys[instruction.program_id_index] == COMPUTE_BUDGET and instruction.data[:1] == bytes([SET_PRICE]):
            return int.from_bytes(instruction.data[1:9], "little")
    return 0
