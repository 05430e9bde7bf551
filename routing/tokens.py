"""The tokens that the engine trades, and the pairs they make."""

from itertools import combinations, permutations

from routing.values import Pair, Token

USDC = Token("USDC", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", 6)
SOL = Token("SOL", "So11111111111111111111111111111111111111112", 9)
JUP = Token("JUP", "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN", 6)
BONK = Token("BONK", "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263", 5)
NEW = Token("NEW", "BvfLMhjxiFGmQ5PKaykzpSMLdgKWZmQYh88JX33gqB8K", 6)
"""Not a real token: it has no pool until the mock market lists one."""

TOKENS = (USDC, SOL, JUP, BONK, NEW)
"""In order of precedence as a quote token: the earlier one of a pair is what its pool is measured in."""

_BY_NAME = {name: token for token in TOKENS for name in (token.symbol, token.mint)}
_PAIRS = {(a.symbol, b.symbol): Pair(a, b) for a, b in permutations(TOKENS, 2)}
_PAIRS_BY_NAME = {pair.name: pair for pair in _PAIRS.values()}
# `TOKENS` is in order of precedence, so a combination has the quote token first.
_POOLS = {
    names: _PAIRS[(other.symbol, quote.symbol)]
    for quote, other in combinations(TOKENS, 2)
    for names in ((quote.symbol, other.symbol), (other.symbol, quote.symbol))
}


def resolve(symbol_or_mint: str) -> Token | None:
    """The token of a symbol (in any case) or of a mint (exactly as written, case carries meaning there)."""
    return _BY_NAME.get(symbol_or_mint) or _BY_NAME.get(symbol_or_mint.upper())


def pair(token_in: str, token_out: str) -> Pair | None:
    """The pair of two symbols or mints; None when either is unknown or both are the same token."""
    sold, bought = resolve(token_in), resolve(token_out)
    if sold is None or bought is None:
        return None
    return _PAIRS.get((sold.symbol, bought.symbol))


def pair_named(name: str) -> Pair | None:
    """The pair of a name such as `SOL-USDC`."""
    found = _PAIRS_BY_NAME.get(name)
    if found is not None:
        return found
    token_in, dash, token_out = name.partition("-")
    return pair(token_in, token_out) if dash else None


def all_pairs() -> tuple[Pair, ...]:
    """Every direction of every two tokens, listed anywhere or not."""
    return tuple(_PAIRS.values())


def quote_token(pair: Pair) -> Token:
    """What the pair's pool is measured in: USDC if it takes part, else SOL, and so on; the same both ways."""
    return pool_pair(pair).token_out


def pool_pair(pair: Pair) -> Pair:
    """The direction that sells for the quote token: one name for a pool that trades both ways."""
    return _POOLS[(pair.token_in.symbol, pair.token_out.symbol)]


def reverse(pair: Pair) -> Pair:
    return _PAIRS[(pair.token_out.symbol, pair.token_in.symbol)]
