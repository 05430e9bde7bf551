"""Tokens in rows of orders: a row names mints. Rows of versions before named five tokens by symbols. Pure."""

OF_SYMBOL = {
    "USDC": "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    "SOL": "So11111111111111111111111111111111111111112",
    "JUP": "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN",
    "BONK": "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263",
    "NEW": "BvfLMhjxiFGmQ5PKaykzpSMLdgKWZmQYh88JX33gqB8K",
}
"""What those symbols meant, whatever mint such a symbol may be verified for by now."""
SYMBOL_OF = {mint: symbol for symbol, mint in OF_SYMBOL.items()}


def mint_of(stored: str) -> str:
    """The mint that a row's token_in or token_out names."""
    return OF_SYMBOL.get(stored, stored)


def stored_as(mint: str) -> list[str]:
    """How rows may name the mint."""
    return [mint, SYMBOL_OF[mint]] if mint in SYMBOL_OF else [mint]


def told_apart_by(mint: str) -> str:
    """How the hash of a request names the mint: as before, so that a request repeated after an upgrade is known again."""
    return SYMBOL_OF.get(mint, mint)
