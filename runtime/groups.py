"""Publishing to Channels groups from processes that have no event loop, in the wire format of `channels_redis.pubsub`."""

from collections.abc import Sequence

import msgpack


def group_channel(group: str, prefix: str = "asgi") -> str:
    """The Redis channel of a group."""
    return f"{prefix}__group__{group}"


def group_message(group: str, texts: Sequence[tuple[str, int, str]], signature: bytes | None = None) -> bytes:
    """A group's message as `group_send` would write it: (subject, seq, WebSocket text) of each piece of news."""
    signed = {} if signature is None else {"signature": signature}
    packed: bytes = msgpack.packb({"type": "orders.news", "group": group, "news": texts, **signed})
    return packed
