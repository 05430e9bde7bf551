"""What a test may have the chain or its nodes do wrong, so many times."""

from collections import Counter
from enum import StrEnum


class Fault(StrEnum):
    DROP = "drop"
    """A transaction is answered for and never reaches a block."""
    DELAY = "delay"
    """A transaction reaches a block only after `DELAY_BLOCKS`."""
    LAND_THEN_TIMEOUT = "land_then_timeout"
    """A transaction lands; its sender gets no answer."""
    REFUSE = "refuse"
    """`sendTransaction` answers with an error, and the transaction goes nowhere."""
    LAG = "lag"
    """Statuses and heights come from a node that is `LAG_BLOCKS` behind, as behind a balancer."""
    NULL_HISTORY = "null_history"
    """`getTransaction` answers null: the node has not stored the transaction yet."""
    FORK = "fork"
    """The last unfinalized blocks are taken back, so many as the count says; carried out at once."""


DELAY_BLOCKS = 5
LAG_BLOCKS = 200


class Faults:
    def __init__(self) -> None:
        self._left: Counter[Fault] = Counter()

    def add(self, fault: Fault, count: int) -> None:
        """`count` 0 ends the fault."""
        self._left[fault] = self._left[fault] + count if count else 0

    def takes(self, fault: Fault) -> bool:
        """Whether it strikes now; counts down."""
        if self._left[fault] <= 0:
            return False
        self._left[fault] -= 1
        return True

    @property
    def left(self) -> dict[str, int]:
        return {fault.value: count for fault, count in self._left.items() if count > 0}
