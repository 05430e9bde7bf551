"""Keys at a service that signs for us (HashiCorp Vault, AWS KMS, …), through the optional package `solana-keychain`.

A wallet's `WALLET_KEYS_DIR/{address}.signer.json`, of mode 600, says how to reach it: `{"backend": "vault", …}` with the fields
of the backend's configuration (https://github.com/solana-foundation/solana-keychain), `public_key` apart: that is the address.
"""

import asyncio
import importlib
import json
from pathlib import Path
from typing import Any

from routing.signer import SigningFailed
from wallets.keys.files import closed
from wallets.keys.local import KeyRefused

MISSING = "solana-keychain is missing: pip install -r requirements-keychain.txt"
TIMEOUT_S = 5.0
"""Of one signature. The order's attempt fails after it, before anything was committed, and is tried again."""


class RemoteSigner:
    """A `routing.signer.Signer` over one of the package's."""

    __slots__ = ("_signer", "address")

    def __init__(self, signer: Any) -> None:
        self._signer = signer
        self.address = str(signer.pubkey)

    async def sign(self, message: bytes) -> bytes:
        """See `Signer`. The package verifies the signature that comes back."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return bytes(await self._signer.sign_message(message))
        except Exception as error:
            failure = (
                type(error).__name__
                if isinstance(error, TimeoutError)
                else getattr(error, "code", type(error).__name__)
            )
        # Outside of the block above: what the service's client raises may hold its credentials.
        raise SigningFailed(f"the remote signer of {self.address} does not sign: {failure}")

    def __repr__(self) -> str:
        return f"RemoteSigner({self.address})"


async def connect(file: Path, address: str) -> RemoteSigner:
    """Raises `KeyRefused`: no package, no readable description of the service, or none that it accepts."""
    try:
        keychain = importlib.import_module("solana_keychain.keychain")
    except ImportError:
        raise KeyRefused(MISSING) from None
    found = await _connected(keychain, closed(file), address)
    if isinstance(found, str):
        raise KeyRefused(f"{file}: {found}")
    return found


async def _connected(keychain: Any, text: bytes, address: str) -> RemoteSigner | str:
    """The signer, or what is wrong. Raises nothing: it holds credentials."""
    try:
        described = dict(json.loads(text))
        backend = described.pop("backend")
        if backend not in keychain.SUPPORTED_BACKENDS:
            return f"backend is one of {', '.join(keychain.SUPPORTED_BACKENDS)}"
        module = importlib.import_module(f"solana_keychain.{backend.replace('-', '_')}")
        configuration = getattr(module, f"{backend.title().replace('-', '')}SignerConfig")
        configured = configuration(public_key=address, **described)
        return RemoteSigner(await keychain.create_keychain_signer(backend, configured))
    except ImportError as error:  # It names the package's extra that is missing.
        return str(error)
    except Exception as error:
        return f"the service's description is not accepted ({type(error).__name__})"
