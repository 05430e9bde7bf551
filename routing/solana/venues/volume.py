"""What a pool traded lately, by what its reserve is seen to have moved."""

from collections import deque

from solders.pubkey import Pubkey

WINDOW_S = 60.0


class Traded:
    """Of a process that looks often: what comes and goes between two looks is not seen, so it is a lower bound."""

    def __init__(self) -> None:
        self._last: dict[Pubkey, int] = {}
        self._moves: dict[Pubkey, deque[tuple[float, int]]] = {}

    def saw(self, pool: Pubkey, reserve: int, now: float) -> int:
        """Takes a look in; base units of the quote token that have moved within the last minute."""
        before = self._last.get(pool)
        self._last[pool] = reserve
        moves = self._moves.setdefault(pool, deque())
        if before is not None and before != reserve:
            moves.append((now, abs(reserve - before)))
        while moves and moves[0][0] < now - WINDOW_S:
            moves.popleft()
        return sum(amount for _, amount in moves)
