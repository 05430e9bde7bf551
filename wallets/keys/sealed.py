"""Keys encrypted at rest: AES-256-GCM, each bound to its wallet's address and cluster."""

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wallets.keys.local import KeyRefused, LocalSigner, of_bytes

VARIABLE = "WALLET_ENCRYPTION_KEYS"
"""Environment: keys of 32 bytes in base64, with commas or line breaks between them. The first encrypts, all decrypt."""
FILE_VARIABLE = f"{VARIABLE}_FILE"
KEY_BYTES = 32
NONCE_BYTES = 12
ID_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Sealed:
    """As the row stores it."""

    key_id: str
    nonce: bytes
    ciphertext: bytes


class EncryptionKey:
    """One of them. It shows its id only."""

    __slots__ = ("_cipher", "id")

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self.id = hashlib.sha256(key).hexdigest()[:ID_CHARACTERS]

    @classmethod
    def of_text(cls, text: bytes) -> "EncryptionKey | None":
        """None where it is no base64 of 32 bytes."""
        try:
            key = base64.b64decode(text, validate=True)
        except binascii.Error:
            return None
        return cls(key) if len(key) == KEY_BYTES else None

    def seal(self, signer: LocalSigner, bound: bytes) -> Sealed:
        nonce = os.urandom(NONCE_BYTES)
        return Sealed(self.id, nonce, self._cipher.encrypt(nonce, signer.exported(), bound))

    def open(self, sealed: Sealed, bound: bytes) -> LocalSigner | None:
        """None where it was changed, or belongs to another wallet."""
        try:
            return of_bytes(self._cipher.decrypt(sealed.nonce, sealed.ciphertext, bound))
        except InvalidTag:
            return None

    def __repr__(self) -> str:
        return f"EncryptionKey({self.id})"


class Vault:
    """Seals with the first key, opens with each."""

    def __init__(self, keys: Iterable[EncryptionKey]) -> None:
        self._keys = {key.id: key for key in keys}

    @classmethod
    def of_environment(cls) -> "Vault":
        """Raises `KeyRefused` for a text that is no key. Without any, a vault that can do nothing."""
        return cls(_keys(_configured()))

    @property
    def newest(self) -> str:
        """The id of the key that seals. Raises `KeyRefused` where there is none."""
        for key_id in self._keys:
            return key_id
        raise KeyRefused(
            f"{VARIABLE} or {FILE_VARIABLE} must hold a key to encrypt with: `manage.py wallets secret` makes one"
        )

    def seal(self, signer: LocalSigner, cluster: str) -> Sealed:
        """Raises `KeyRefused` where there is no key."""
        return self._keys[self.newest].seal(signer, bound_to(signer.address, cluster))

    def open(self, sealed: Sealed, address: str, cluster: str) -> LocalSigner:
        """Raises `KeyRefused` where no key of ours has sealed it, or it was not sealed for this wallet."""
        key = self._keys.get(sealed.key_id)
        if key is None:
            raise KeyRefused(f"{VARIABLE} has no key {sealed.key_id}, with which the wallet {address} is encrypted")
        signer = key.open(sealed, bound_to(address, cluster))
        if signer is None:
            raise KeyRefused(f"the encrypted key of the wallet {address} was changed, or is another wallet's")
        return signer


def bound_to(address: str, cluster: str) -> bytes:
    return f"{address}|{cluster}".encode()


def made() -> str:
    """A new encryption key, as the variable wants it."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def _configured() -> list[bytes]:
    file = os.environ.get(FILE_VARIABLE)
    if os.environ.get(VARIABLE) or not file:
        return os.environ.get(VARIABLE, "").encode().replace(b",", b"\n").split()
    try:
        return Path(file).read_bytes().replace(b",", b"\n").split()
    except OSError as error:
        raise KeyRefused(f"{FILE_VARIABLE}: {file} cannot be read ({error.strerror})") from None


def _keys(texts: Iterable[bytes]) -> list[EncryptionKey]:
    keys = [EncryptionKey.of_text(text) for text in texts]
    del texts  # What follows may raise.
    if None in keys:
        raise KeyRefused(f"{VARIABLE}: key {keys.index(None) + 1} is no base64 of {KEY_BYTES} bytes")
    return [key for key in keys if key is not None]
