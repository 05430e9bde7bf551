"""The wallet that a new order is executed with."""

import msgspec
from django.db import Error

from orders.errors import ApiError, unavailable
from orders.ledger.values import NewOrder
from orders.order_in import OrderIn
from routing.cluster import ClusterUnknown
from wallets.ring import WalletRing


async def with_wallet(ring: WalletRing, order: OrderIn, new: NewOrder) -> NewOrder:
    """The order with the account's wallet of the id or address that it names, or its default one.

    Raises `ApiError`: UNKNOWN_WALLET, NO_WALLET, UNAVAILABLE.
    """
    try:
        address = await ring.choose(new.account_id, order.wallet)
    except (Error, ClusterUnknown):
        raise unavailable() from None
    if address is not None:
        return msgspec.structs.replace(new, wallet=address)
    if order.wallet is not None:
        raise ApiError(
            "UNKNOWN_WALLET", "wallet is none of this account's wallets in use.", {"wallet": ["is unknown or retired"]}
        )
    raise ApiError(
        "NO_WALLET", "This account has no default wallet: make one, or name one.", {"wallet": ["is missing"]}
    )
