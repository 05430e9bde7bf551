"""Signers for the steps of an attempt: the only way from an order to a wallet's key."""

import logging

from orders.execution.work import KeyUnusable, NotSigned
from routing.signer import Signer, SigningFailed
from wallets.keys.local import KeyRefused
from wallets.keys.signers import Signers

log = logging.getLogger(__name__)


class Unsigned:
    """Stands for the signer of a wallet on paper: it has no key."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def sign(self, message: bytes) -> bytes:
        """Raises `SigningFailed`."""
        raise SigningFailed("nothing is signed on paper")


class PaperSigning:
    """On paper no key is read, whatever wallet an order names."""

    async def of(self, address: str) -> Signer:
        return Unsigned(address)


class Signing:
    def __init__(self, signers: Signers) -> None:
        self._signers = signers

    async def of(self, address: str) -> Signer:
        """Raises `KeyUnusable`, `NotSigned`. What is wrong with a key stands in the log: a client must not learn of files."""
        try:
            return await self._signers.of(address)
        except KeyRefused as error:
            log.error("the wallet %s does not sign: %s", address, error)
            raise KeyUnusable from None
        except SigningFailed as error:
            raise NotSigned(str(error)) from None
