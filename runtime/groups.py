"""Publishing to Channels groups from processes that have no event loop, in the wire format of `channels_redis.pubsub`."""

from collections.abc import Sequence

import msgpack

TYPE = "group.texts"
TEXTS = "news"
"""The key that processes of the release before read. Subscribers accept `texts` as well, so the next release can send that."""


def group_channel(group: str, prefix: str = "asgi") -> str:
    """The Redis channel of a group."""
    return f"{prefix}__group__{group}"


def group_message(group: str, texts: Sequence[tuple[str, int, str]], signature: bytes | None = None) -> bytes:
    """A group's message as `group_send` would encode it: (subject, seq, WebSocket text) of each event."""
    signed = {} if signature is None else {"signature": signature}
    packed: bytes = msgpack.packb({"type": TYPE, "group": group, TEXTS: texts, **signed})
    return packed
