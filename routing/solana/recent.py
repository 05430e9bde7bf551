"""What was learnt lately, under a key, so many things at most."""

import time
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")
Default = TypeVar("Default")
EVER = float("inf")


class Recent(Generic[Key, Value]):
    """Beyond `most` everything is forgotten: all of it can be asked for again."""

    def __init__(self, most: int = 1_000) -> None:
        self._most = most
        self._held: dict[Key, tuple[float, Value]] = {}

    def __setitem__(self, key: Key, value: Value) -> None:
        if len(self._held) >= self._most:
            self.clear()
        self._held[key] = time.monotonic(), value

    def get(self, key: Key, default: Default, *, max_age_s: float = EVER) -> Value | Default:
        """`default` where nothing so young is known."""
        at, value = self._held.get(key, (-EVER, default))
        return value if time.monotonic() - at <= max_age_s else default

    def clear(self) -> None:
        self._held.clear()
