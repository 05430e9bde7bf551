"""The tokens that are known at one moment, and the pairs they make. Those of the present: `routing.world.tokens`."""

from collections.abc import Iterable

from routing.values import UNRANKED, Pair, Token, precedence

MAX_PAIRS = 10_000
"""Pairs that are kept once they were asked for: anybody may ask for any two tokens."""


class Tokens:
    """Every look-up costs a look into a dictionary. What is known never changes in place, so any thread may read."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        """Of verified tokens with one symbol the first in order of precedence has it; the table refuses the second."""
        self.tokens = tuple(sorted(tokens, key=precedence))
        self._by_mint = {token.mint: token for token in self.tokens}
        self._by_symbol = {token.symbol.upper(): token for token in reversed(self.tokens) if token.verified}
        self._pairs: dict[tuple[str, str], Pair] = {}
        self._pairs_by_name: dict[str, Pair] = {}

    def resolve(self, symbol_or_mint: str) -> Token | None:
        """The token of a verified symbol (in any case) or of a mint (exactly as written, case carries meaning there)."""
        return self._by_mint.get(symbol_or_mint) or self._by_symbol.get(symbol_or_mint.upper())

    def label(self, mint: str) -> str:
        """What people read for a mint: its verified symbol, else the mint itself."""
        token = self._by_mint.get(mint)
        return mint if token is None else token.label

    def name(self, mints: str) -> str:
        """The present name of a pair of mints, known ones or not, that are given with a dash between."""
        token_in, _, token_out = mints.partition("-")
        return f"{self.label(token_in)}-{self.label(token_out)}"

    def pair(self, token_in: str, token_out: str) -> Pair | None:
        """The pair of two symbols or mints; None when either is unknown or both are the same token."""
        found = self._pairs.get((token_in, token_out))
        if found is not None:
            return found
        sold, bought = self.resolve(token_in), self.resolve(token_out)
        if sold is None or bought is None or sold == bought:
            return None
        if len(self._pairs) >= MAX_PAIRS:
            self._pairs.clear()
        made = self._pairs[(token_in, token_out)] = Pair(sold, bought)
        return made

    def pair_named(self, name: str) -> Pair | None:
        """The pair of a name such as `SOL-USDC`."""
        found = self._pairs_by_name.get(name)
        if found is not None:
            return found
        token_in, _, token_out = name.partition("-")
        made = self.pair(token_in, token_out)
        if made is not None:
            if len(self._pairs_by_name) >= MAX_PAIRS:
                self._pairs_by_name.clear()
            self._pairs_by_name[name] = made
        return made

    def all_pairs(self) -> tuple[Pair, ...]:
        """Every direction between a quote token (one with a rank of its own) and a verified one, listed anywhere or not."""
        verified = [token for token in self.tokens if token.verified]
        ranked = [token for token in verified if token.rank < UNRANKED]
        found = {(quote, other) for quote in ranked for other in verified if quote != other}
        names = sorted(
            {*found, *((other, quote) for quote, other in found)}, key=lambda two: tuple(map(precedence, two))
        )
        return tuple(Pair(*two) for two in names)
