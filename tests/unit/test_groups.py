"""What publishers send to a group, processes of the release before and of the next one understand."""

import msgpack
import pytest

from orders.signatures import signature
from orders.streams.subscriptions import checked
from runtime.groups import group_message

ENTRY = ("01900000-0000-7000-8000-000000000000", 2, '{"type":"event"}')
GROUP = "order.1"


def test_the_release_before_finds_the_texts_where_it_reads_them() -> None:
    message = msgpack.unpackb(group_message(GROUP, [ENTRY]))
    assert (message["group"], message["news"]) == (GROUP, [list(ENTRY)])


@pytest.mark.parametrize("key", ["news", "texts"])
def test_a_subscriber_takes_the_texts_of_both_releases(key: str) -> None:
    message = {"group": GROUP, key: [list(ENTRY)], "signature": signature(GROUP, [ENTRY])}
    assert checked(GROUP, message) == [ENTRY]
