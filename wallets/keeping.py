"""Making wallets and ending them. Reads and writes secrets, so only the command `wallets` imports it."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from asgiref.sync import async_to_sync
from django.db import IntegrityError, transaction
from solders.pubkey import Pubkey
from solders.signature import Signature

from accounts.models import Account
from routing.signer import Signer
from wallets.keys import files, remote
from wallets.keys.local import KeyRefused, LocalSigner
from wallets.keys.sealed import Sealed, Vault
from wallets.keys.signers import key_file, service_file
from wallets.models import Source, State, Wallet, WalletKey

PROOF = b"orderengine: this wallet's key is at hand"
"""Signed once when a remote signer is registered. It is no transaction."""


class Keeping:
    """On one cluster; `folder` is WALLET_KEYS_DIR. Each method does all or nothing, and raises `KeyRefused` for nothing."""

    def __init__(self, folder: Path, *, cluster: str, mode: str) -> None:
        self._folder, self._cluster, self._mode = folder, cluster, mode

    def create(self, account: Account, name: str, *, source: str = Source.FILE, default: bool = False) -> Wallet:
        return self._keep(account, name, LocalSigner.generate(), source, default)

    def on_paper(self, account: Account, name: str, *, default: bool = False) -> Wallet:
        """A wallet of an address whose key nobody has."""
        return self._row(account, name, LocalSigner.generate().address, Source.PAPER, default)

    def take(self, account: Account, name: str, file: Path, *, source: str, default: bool = False) -> Wallet:
        """Imports the key in a file of mode 600. The file stays where it is: what becomes of it is its owner's decision."""
        return self._keep(account, name, files.read(file), source, default)

    def connect(self, account: Account, name: str, address: str, file: Path, *, default: bool = False) -> Wallet:
        """A wallet whose key is at a service, which a file of mode 600 describes (`wallets.keys.remote`)."""
        async_to_sync(prove)(file, address)
        with transaction.atomic():
            wallet = self._row(account, name, address, Source.REMOTE, default)
            files.write(service_file(self._folder, address), partial(files.closed, file))
        return wallet

    def retire(self, address: str) -> Wallet:
        """From now on it signs nothing new, in any process; its key stays where it is."""
        wallet = self.find(address)
        if wallet.state != State.RETIRED:
            wallet.state, wallet.is_default, wallet.retired_at = State.RETIRED, False, datetime.now(UTC)
            wallet.save(update_fields=["state", "is_default", "retired_at"])
        return wallet

    def make_default(self, address: str) -> Wallet:
        wallet = self.find(address)
        if wallet.state != State.ACTIVE:
            raise KeyRefused(f"the wallet {wallet} is retired")
        with transaction.atomic():
            self._clear_default(wallet.account)
            wallet.is_default = True
            wallet.save(update_fields=["is_default"])
        return wallet

    def find(self, address: str) -> Wallet:
        found = Wallet.objects.select_related("account").filter(address=address, cluster=self._cluster).first()
        if found is None:
            raise KeyRefused(f"{address} is no wallet of this cluster")
        return found

    def _keep(self, account: Account, name: str, signer: LocalSigner, source: str, default: bool) -> Wallet:
        with transaction.atomic():
            wallet = self._row(account, name, signer.address, source, default)
            if source == Source.ROW:
                store(wallet, Vault.of_environment().seal(signer, self._cluster))
            else:
                self._write(key_file(self._folder, signer.address), signer)
        return wallet

    def _write(self, file: Path, signer: LocalSigner) -> None:
        """One that is there already is taken as it is: the table was lost and the folder was not."""
        if not (file.exists() and files.read(file).address == signer.address):
            files.write(file, signer.array)

    def _row(self, account: Account, name: str, address: str, source: str, default: bool) -> Wallet:
        """The first wallet of an account is its default."""
        if not 1 <= len(name) <= 64:
            raise KeyRefused("a wallet's name has 1 to 64 characters")
        ours = Wallet.objects.filter(account=account, cluster=self._cluster)
        default = default or not ours.filter(is_default=True).exists()
        try:
            with transaction.atomic():
                if default:
                    self._clear_default(account)
                return Wallet.objects.create(
                    account=account,
                    name=name,
                    address=address,
                    cluster=self._cluster,
                    mode=self._mode,
                    is_default=default,
                    source=source,
                )
        except IntegrityError:
            pass
        other = Wallet.objects.filter(address=address).first()
        if other is None:
            raise KeyRefused(f"the account {account} has a wallet named {name!r}")
        if other.cluster != self._cluster:
            raise KeyRefused(f"{address} is a wallet of {other.mode}, on another cluster: a key signs on one only")
        raise KeyRefused(f"{address} is a wallet already")

    def _clear_default(self, account: Account) -> None:
        Wallet.objects.filter(account=account, cluster=self._cluster, is_default=True).update(is_default=False)


def store(wallet: Wallet, sealed: Sealed) -> None:
    values = {"key_id": sealed.key_id, "nonce": sealed.nonce, "ciphertext": sealed.ciphertext}
    WalletKey.objects.update_or_create(wallet=wallet, defaults=values)


def reseal() -> tuple[int, str]:
    """Encrypts with the newest key what older ones encrypted; how many rows that were, and the newest key's id.

    Raises `KeyRefused` at the first row that no key opens; those before it are done.
    """
    vault = Vault.of_environment()
    stale = WalletKey.objects.exclude(key_id=vault.newest).select_related("wallet").order_by("pk")
    done = 0
    for row in stale:
        wallet = row.wallet
        signer = vault.open(Sealed(row.key_id, bytes(row.nonce), bytes(row.ciphertext)), wallet.address, wallet.cluster)
        store(wallet, vault.seal(signer, wallet.cluster))
        done += 1
    return done, vault.newest


async def prove(file: Path, address: str) -> None:
    """Raises `SigningFailed` where the service does not sign with the wallet's key."""
    signer: Signer = await remote.connect(file, address)
    signature = Signature.from_bytes(await signer.sign(PROOF))
    if not signature.verify(Pubkey.from_string(address), PROOF):
        raise KeyRefused(f"the service signs with another key than that of {address}")
