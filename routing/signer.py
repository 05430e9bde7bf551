"""What signs transactions. Nothing below `orders/` reads keys: whoever builds a transaction is handed a signer."""

from typing import Protocol


class SigningFailed(Exception):
    """The key is not at hand, or whoever holds it refused or did not answer. Nothing is signed."""


class Signer(Protocol):
    address: str
    """Base58 public key."""

    async def sign(self, message: bytes) -> bytes:
        """64 bytes: the ed25519 signature over `message`. Raises `SigningFailed`."""
        ...
