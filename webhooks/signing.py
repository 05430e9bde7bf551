"""Signatures by the Standard Webhooks scheme, version 1 (github.com/standard-webhooks, spec/standard-webhooks.md). Pure."""

import base64
import hmac
import secrets
from collections.abc import Sequence
from hashlib import sha256

PREFIX = "whsec_"
SECRET_BYTES = 32
"""The scheme asks for 24 to 64."""


def new_secret() -> str:
    """`whsec_` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(message_id: str, timestamp_s: int, body: bytes, keys: Sequence[str]) -> dict[str, str]:
    """One signature a key, so that a receiver that knows any of them accepts the message."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(sign(message_id, timestamp_s, body, key) for key in keys),
    }


def sign(message_id: str, timestamp_s: int, body: bytes, key: str) -> str:
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    digest = hmac.digest(base64.b64decode(key.removeprefix(PREFIX)), signed, sha256)
    return "v1," + base64.b64encode(digest).decode()
