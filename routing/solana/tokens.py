"""The tokens that come with a public cluster: what positions are bought with. Any other is added by its mint."""

from routing.tokens import Tokens
from routing.values import Token


def _known(rank: int, symbol: str, name: str, mint: str, decimals: int) -> Token:
    return Token(symbol, mint, decimals, verified=True, name=name, source="built in", rank=rank)


_SOL = _known(1, "SOL", "Wrapped SOL", "So11111111111111111111111111111111111111112", 9)
_OF_CLUSTER = {
    # Circle's own: https://developers.circle.com/stablecoins/usdc-contract-addresses
    "mainnet": (_known(0, "USDC", "USD Coin", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", 6), _SOL),
    "devnet": (_known(0, "USDC", "USD Coin of devnet", "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU", 6), _SOL),
}


def of_cluster(mode: str) -> Tokens:
    return Tokens(_OF_CLUSTER[mode])
