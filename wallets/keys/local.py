"""Keys in this process' memory, and the texts they are kept in."""

import json
from typing import NoReturn

from base58 import b58decode
from solders.keypair import Keypair

from routing.signer import SigningFailed

SEED, PAIR = 32, 64
"""Bytes of an ed25519 secret, and of the secret with its public key, as wallets store it."""


class KeyRefused(SigningFailed):
    """A key that cannot or must not be used. The message names the wallet or the file, never what is in it."""


class LocalSigner:
    """A `routing.signer.Signer` whose key is here. It shows its address only, and cannot be copied or stored."""

    __slots__ = ("_pair", "address")

    def __init__(self, pair: Keypair) -> None:
        self._pair = pair
        self.address = str(pair.pubkey())

    @classmethod
    def generate(cls) -> "LocalSigner":
        return cls(Keypair())

    async def sign(self, message: bytes) -> bytes:
        """See `Signer`."""
        return bytes(self._pair.sign_message(message))

    def exported(self) -> bytes:
        """The 64 bytes: for whoever writes them down, encrypted or in a closed file."""
        return bytes(self._pair)

    def array(self) -> bytes:
        """The same as Solana CLI writes it."""
        return json.dumps([*self.exported()]).encode()

    def __repr__(self) -> str:
        return f"LocalSigner({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not serialised")


def of_bytes(held: bytes) -> LocalSigner | None:
    """The signer of 64 bytes, secret then public key, or of the 32 of a secret; None where they are neither."""
    if len(held) not in (SEED, PAIR):
        return None
    try:
        signer = LocalSigner(Keypair.from_seed(held[:SEED]))
    except ValueError:
        return None
    return signer if held[SEED:] in (b"", signer.exported()[SEED:]) else None


def of_text(text: bytes) -> LocalSigner | None:
    """The signer of a text: Solana CLI's JSON array of 64 numbers, or base58 of as many bytes. None where it is neither."""
    text = text.strip()
    try:
        return of_bytes(bytes(json.loads(text)) if text.startswith(b"[") else b58decode(text))
    except (ValueError, TypeError, RecursionError):
        return None
