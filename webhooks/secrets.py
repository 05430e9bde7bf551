"""Endpoints' secrets as they are stored: encrypted under a key made of SECRET_KEY, so a copy of the database signs nothing."""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(ValueError):
    """The secret was stored under another SECRET_KEY."""


def box() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    derived = [HKDF(SHA256(), 32, salt=None, info=b"orderengine webhooks").derive(str(key).encode()) for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])


def seal(secret: str) -> bytes:
    return box().encrypt(secret.encode())


def unseal(sealed: bytes) -> str:
    """Raises `Unreadable`."""
    try:
        return box().decrypt(bytes(sealed)).decode()
    except InvalidToken:
        raise Unreadable(Unreadable.__doc__) from None
