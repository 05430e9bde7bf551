"""The tokens that come with the mock world."""

from routing.tokens import Tokens
from routing.values import Pair, Token


def _known(rank: int, symbol: str, name: str, mint: str, decimals: int) -> Token:
    return Token(symbol, mint, decimals, verified=True, name=name, source="mock", rank=rank)


USDC = _known(0, "USDC", "USD Coin", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", 6)
SOL = _known(1, "SOL", "Wrapped SOL", "So11111111111111111111111111111111111111112", 9)
JUP = _known(2, "JUP", "Jupiter", "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN", 6)
BONK = _known(3, "BONK", "Bonk", "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263", 5)
NEW = _known(4, "NEW", "New on the mock market", "BvfLMhjxiFGmQ5PKaykzpSMLdgKWZmQYh88JX33gqB8K", 6)
"""Not a real token: it has no pool until the mock market lists one."""

TOKENS = (USDC, SOL, JUP, BONK, NEW)
REGISTRY = Tokens(TOKENS)
_NAMES = {token.mint: token.symbol for token in TOKENS}
_MINTS = {token.symbol: token.mint for token in TOKENS}


def market_name(pair: Pair) -> str:
    """The pair in the market's file: as it was always called, or by mints. It stays when a symbol is verified or taken back."""
    token_in, token_out = pair.token_in.mint, pair.token_out.mint
    return f"{_NAMES.get(token_in, token_in)}-{_NAMES.get(token_out, token_out)}"


def market_pair(name: str, tokens: Tokens) -> Pair | None:
    """The pair of a `market_name`, as `tokens` knows it; None where it does not."""
    token_in, _, token_out = name.partition("-")
    return tokens.pair(_MINTS.get(token_in, token_in), _MINTS.get(token_out, token_out))
