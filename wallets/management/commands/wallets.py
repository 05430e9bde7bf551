"""`manage.py wallets …`: makes, imports, lists and retires wallets. A secret is never printed and never an argument."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.models import Account
from routing.cluster import ClusterUnknown, mode, wallets_cluster
from routing.signer import SigningFailed
from wallets.keeping import Keeping, reseal
from wallets.keys import sealed
from wallets.models import Source, Wallet


class Command(BaseCommand):
    help = "Makes, imports, lists and retires wallets of the present mode's cluster."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="a wallet with a new key; its account is made if it is missing")
        imported = actions.add_parser("import", help="a wallet with the key in a file of mode 600")
        connect = actions.add_parser("connect", help="a wallet whose key is at a service (solana-keychain)")
        for added in (create, imported, connect):
            added.add_argument("account")
            added.add_argument("--name", default="main", help="unique in its account (default: main)")
            added.add_argument(
                "--default", action="store_true", help="of orders that name no wallet, as the first one is"
            )
        for added in (create, imported):
            sources = (Source.FILE.value, Source.ROW.value)
            added.add_argument(
                "--source", choices=sources, default=sources[0], help="where the key is kept (default: file)"
            )
        imported.add_argument("file", type=Path, help="Solana CLI's JSON array of 64 numbers, or base58")
        connect.add_argument("address", help="the public key in base58")
        connect.add_argument("file", type=Path, help='JSON such as {"backend": "vault", …}, of mode 600')
        for name, text in (
            ("retire", "it signs nothing new; what was signed may still land"),
            ("default", "makes it the one of orders that name none"),
        ):
            actions.add_parser(name, help=text).add_argument("address")
        actions.add_parser("list").add_argument("account", nargs="?")
        actions.add_parser("secret", help=f"prints a new key for {sealed.VARIABLE}")
        actions.add_parser("reseal", help=f"encrypts all rows with the first key of {sealed.VARIABLE}")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"do_{action}")(**options)
        except SigningFailed as error:
            raise CommandError(str(error)) from None

    def do_create(self, *, account: str, name: str, source: str, default: bool, **_: Any) -> None:
        if settings.PAPER:
            self._say(keeping().on_paper(account_of(account), name, default=default))
        else:
            self._say(keeping().create(account_of(account), name, source=source, default=default))

    def do_import(self, *, account: str, name: str, file: Path, source: str, default: bool, **_: Any) -> None:
        refuse_keys_on_paper()
        self._say(keeping().take(account_of(account), name, file, source=source, default=default))

    def do_connect(self, *, account: str, name: str, address: str, file: Path, default: bool, **_: Any) -> None:
        refuse_keys_on_paper()
        self._say(keeping().connect(account_of(account), name, address, file, default=default))

    def do_retire(self, *, address: str, **_: Any) -> None:
        wallet = keeping().retire(address)
        self._say(wallet)
        if not Wallet.objects.filter(account=wallet.account, cluster=wallet.cluster, is_default=True).exists():
            self.stderr.write(f"{wallet.account} has no default wallet now: its orders must name one")

    def do_default(self, *, address: str, **_: Any) -> None:
        self._say(keeping().make_default(address))

    def do_list(self, *, account: str | None, **_: Any) -> None:
        wallets = Wallet.objects.select_related("account").order_by("account__name", "pk")
        for wallet in wallets.filter(account__name=account) if account is not None else wallets:
            self._say(wallet)

    def do_secret(self, **_: Any) -> None:
        self.stdout.write(sealed.made())

    def do_reseal(self, **_: Any) -> None:
        count, newest = reseal()
        self.stdout.write(f"{count} encrypted anew; all are with the key {newest} now")

    def _say(self, wallet: Wallet) -> None:
        state = f"{wallet.state}, default" if wallet.is_default else wallet.state
        line = (str(wallet.pk), wallet.account.name, wallet.name, wallet.address, wallet.mode, state, wallet.source)
        self.stdout.write("\t".join(line))


def keeping() -> Keeping:
    try:
        found = wallets_cluster()
    except ClusterUnknown as error:
        raise CommandError(str(error)) from None
    if found is None:
        raise CommandError("the mock has no wallets: set EXECUTION_MODE")
    return Keeping(settings.WALLET_KEYS_DIR, cluster=found, mode=mode())


def refuse_keys_on_paper() -> None:
    """Raises `CommandError`."""
    if settings.PAPER:
        raise CommandError("wallets on paper have no keys: make one with `wallets create`")


def account_of(name: str) -> Account:
    if not 1 <= len(name) <= 64:
        raise CommandError("an account's name has 1 to 64 characters")
    return Account.objects.get_or_create(name=name)[0]
