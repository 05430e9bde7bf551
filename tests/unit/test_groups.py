"""What publishers send to a group, processes of the release before and of the next one understand."""

from typing import Any

import msgpack
import pytest

from orders.streams.sockets import Socket
from runtime.groups import group_message

ENTRY = ("01900000-0000-7000-8000-000000000000", 2, '{"type":"event"}')


async def nothing(*_: Any) -> Any: ...


def test_the_release_before_finds_the_texts_where_it_reads_them() -> None:
    message = msgpack.unpackb(group_message("order.1", [ENTRY]))
    assert (message["group"], message["news"]) == ("order.1", [list(ENTRY)])


@pytest.mark.parametrize("key", ["news", "texts"])
def test_a_socket_takes_the_texts_of_both_releases(key: str) -> None:
    socket = Socket({}, nothing, nothing)
    socket.offer({"type": "group.texts", "group": "order.1", key: [list(ENTRY)]})
    assert list(socket.inbox) == [ENTRY]
