"""The registry of tokens that a world trades, and the pairs they make."""

from collections.abc import Iterable
from itertools import combinations, permutations

from routing.values import Pair, Token


class Tokens:
    """Every look-up costs a look into a dictionary; nothing is changed in place, so any thread may read."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        """`tokens` in order of precedence as a quote token: the earlier one of a pair is what its pool is measured in."""
        self.tokens = tuple(tokens)
        self._by_name = {name: token for token in self.tokens for name in (token.symbol, token.mint)}
        self._pairs = {(a.symbol, b.symbol): Pair(a, b) for a, b in permutations(self.tokens, 2)}
        self._pairs_by_name = {pair.name: pair for pair in self._pairs.values()}
        # A combination of what is in order of precedence has the quote token first.
        self._pools = {
            names: self._pairs[(other.symbol, quote.symbol)]
            for quote, other in combinations(self.tokens, 2)
            for names in ((quote.symbol, other.symbol), (other.symbol, quote.symbol))
        }

    def resolve(self, symbol_or_mint: str) -> Token | None:
        """The token of a symbol (in any case) or of a mint (exactly as written, case carries meaning there)."""
        return self._by_name.get(symbol_or_mint) or self._by_name.get(symbol_or_mint.upper())

    def pair(self, token_in: str, token_out: str) -> Pair | None:
        """The pair of two symbols or mints; None when either is unknown or both are the same token."""
        sold, bought = self.resolve(token_in), self.resolve(token_out)
        if sold is None or bought is None:
            return None
        return self._pairs.get((sold.symbol, bought.symbol))

    def pair_named(self, name: str) -> Pair | None:
        """The pair of a name such as `SOL-USDC`."""
        found = self._pairs_by_name.get(name)
        if found is not None:
            return found
        token_in, dash, token_out = name.partition("-")
        return self.pair(token_in, token_out) if dash else None

    def all_pairs(self) -> tuple[Pair, ...]:
        """Every direction of every two tokens, listed anywhere or not."""
        return tuple(self._pairs.values())

    def quote_token(self, pair: Pair) -> Token:
        """What the pair's pool is measured in: USDC if it takes part, else SOL, and so on; the same both ways."""
        return self.pool_pair(pair).token_out

    def pool_pair(self, pair: Pair) -> Pair:
        """The direction that sells for the quote token: one name for a pool that trades both ways."""
        return self._pools[(pair.token_in.symbol, pair.token_out.symbol)]

    def reverse(self, pair: Pair) -> Pair:
        return self._pairs[(pair.token_out.symbol, pair.token_in.symbol)]
