"""Addresses of Redis in the forms of redis-py and kombu."""

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import redis_url


def test_a_socket_in_both_forms() -> None:
    url = redis_url.of_socket("/data/run/redis.sock", 2)

    assert url == "unix:///data/run/redis.sock?db=2"
    assert redis_url.for_kombu(url) == "redis+socket:///data/run/redis.sock?virtual_host=2"


@pytest.mark.parametrize(
    "url", ["redis://:pw@127.0.0.1:6379/0", "rediss://host/1", "amqp://a:b@host:5672//", "sentinel://host:26379/0"]
)
def test_other_addresses_stay(url: str) -> None:
    assert redis_url.for_kombu(url) == url
    assert redis_url.for_client(url) == url


def test_credentials_and_other_options_are_kept() -> None:
    url = "unix://name:p%40w@/run/redis.sock?db=3&health_check_interval=5"

    assert redis_url.for_kombu(url) == (
        "redis+socket://name:p%40w@/run/redis.sock?virtual_host=3&health_check_interval=5"
    )
    assert redis_url.for_client(redis_url.for_kombu(url)) == url


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_path_survives_both_forms(name: str) -> None:
    url = redis_url.of_socket(f"/{name}")

    assert redis_url.for_client(redis_url.for_kombu(url)) == url
    assert unquote(urlsplit(redis_url.for_kombu(url)).path) == f"/{name}"
