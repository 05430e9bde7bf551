"""Signatures of what is published to orders' and accounts' groups.

Whoever can publish to Redis can write to every group. Sockets send on only what a process of ours has signed; anything
else they drop, and read the database. A signature holds for one group; sequence numbers make a repeated message harmless.
"""

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b

import msgpack
from django.conf import settings

SIZE = 16
"""Bytes. There is one guess a message, and no way to try a guess elsewhere."""


@cache
def key() -> bytes:
    """Derived, so that it opens nothing else that SECRET_KEY protects."""
    return blake2b(settings.SECRET_KEY.encode(), digest_size=32, person=b"order-events").digest()


def signature(group: str, texts: Sequence[Sequence[object]]) -> bytes:
    """Of a group's message: (order id, seq, WebSocket text) of each of its events."""
    return blake2b(msgpack.packb([group, texts]), digest_size=SIZE, key=key()).digest()
