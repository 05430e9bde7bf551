"""The tokens of the mock world."""

from routing.tokens import Tokens
from routing.values import Token

USDC = Token("USDC", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", 6)
SOL = Token("SOL", "So11111111111111111111111111111111111111112", 9)
JUP = Token("JUP", "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN", 6)
BONK = Token("BONK", "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263", 5)
NEW = Token("NEW", "BvfLMhjxiFGmQ5PKaykzpSMLdgKWZmQYh88JX33gqB8K", 6)
"""Not a real token: it has no pool until the mock market lists one."""

TOKENS = (USDC, SOL, JUP, BONK, NEW)
"""In order of precedence as a quote token: the earlier one of a pair is what its pool is measured in."""
REGISTRY = Tokens(TOKENS)
