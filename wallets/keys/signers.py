"""The signers of this process: a wallet's key is read at its first signature and kept."""

import asyncio
import ctypes
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from django.db import close_old_connections

from routing.signer import Signer
from wallets.keys import files, remote
from wallets.keys.local import KeyRefused
from wallets.keys.sealed import Sealed, Vault
from wallets.models import Source, State, Wallet, WalletKey

PR_SET_DUMPABLE = 4


def key_file(folder: Path, address: str) -> Path:
    return folder / f"{address}.json"


def service_file(folder: Path, address: str) -> Path:
    return folder / f"{address}.signer.json"


class Signers:
    """Of one cluster, whose genesis hash `cluster()` answers, blocking: a wallet of another one is refused."""

    def __init__(self, folder: Path, cluster: Callable[[], str | None]) -> None:
        self._folder = folder
        self._cluster = cluster
        self._known: dict[str, Signer] = {}
        self._reading = asyncio.Lock()

    async def of(self, address: str) -> Signer:
        """The wallet's signer. Raises `KeyRefused`: no such wallet here, retired, or its key cannot be used."""
        if address not in self._known:
            async with self._reading:
                if address not in self._known:
                    self._known[address] = await self._read(address)
        return self._known[address]

    def forget(self, address: str) -> None:
        """The next signature reads the key anew."""
        self._known.pop(address, None)

    async def _read(self, address: str) -> Signer:
        wallet, sealed = await asyncio.to_thread(self._row, address)
        signer: Signer
        match wallet.source:
            case Source.ROW:
                if sealed is None:
                    raise KeyRefused(f"the wallet {address} has no encrypted key")
                signer = Vault.of_environment().open(sealed, address, wallet.cluster)
            case Source.REMOTE:
                signer = await remote.connect(service_file(self._folder, address), address)
            case _:
                signer = await asyncio.to_thread(files.read, key_file(self._folder, address))
        if signer.address != address:
            raise KeyRefused(f"the key of the wallet {address} belongs to {signer.address}")
        return signer

    def _row(self, address: str) -> tuple[Wallet, Sealed | None]:
        close_old_connections()
        try:
            wallet = Wallet.objects.filter(address=address).first()
            if wallet is None or wallet.state != State.ACTIVE:
                raise KeyRefused(f"{address} is no wallet in use")
            if wallet.cluster != self._cluster():
                raise KeyRefused(f"the wallet {address} is of another cluster ({wallet.mode}): it signs nothing here")
            key = WalletKey.objects.filter(wallet=wallet).first() if wallet.source == Source.ROW else None
            return wallet, None if key is None else Sealed(key.key_id, bytes(key.nonce), bytes(key.ciphertext))
        finally:
            close_old_connections()


def close_to_debuggers() -> None:
    """Before a key is read: this process writes no core dump, and no other one of this user may look into its memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
