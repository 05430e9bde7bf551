"""Every client of the engine reaches an embedded server through its Unix socket, whatever the path holds."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from channels_redis.pubsub import RedisPubSubChannelLayer
from flower.utils.broker import Broker
from kombu import Connection

from orderengine.host import embedded
from orderengine.host.launch import PARENT
from runtime import redis_url
from tests.waiting import until

SERVERS = {"wheel": None, "redis-server": shutil.which("redis-server"), "valkey-server": shutil.which("valkey-server")}


def started(server: embedded.Redis) -> "subprocess.Popen[bytes]":
    server.prepare()
    environment = dict(os.environ) | {PARENT: str(os.getpid())}
    child = subprocess.Popen(server.command(), env=environment, stdout=subprocess.DEVNULL)
    until(server.answers, 20)
    return child


def stop(child: "subprocess.Popen[bytes]") -> None:
    child.send_signal(signal.SIGTERM)
    child.wait(20)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[embedded.Redis]:
    if request.param != "wheel":
        if not (program := SERVERS[request.param]):
            pytest.skip(f"there is no {request.param} on PATH")
        monkeypatch.setenv("REDIS_SERVER", program)
    folder = tmp_path / 'a b%20c#d"?é'
    folder.mkdir()
    server = embedded.redis(folder)
    child = started(server)
    assert not server.socket.is_relative_to(tmp_path)
    yield server
    stop(child)
    shutil.rmtree(server.socket.parent)


def test_redis_py(server: embedded.Redis) -> None:
    with redis.Redis.from_url(server.url, socket_timeout=1, socket_connect_timeout=1) as client:
        client.set("key", "value")

        assert client.get("key") == b"value"
        assert client.config_get("port") == {"port": "0"}


async def test_channels(server: embedded.Redis) -> None:
    hosts = [{"address": server.url, "socket_timeout": None, "socket_connect_timeout": 1, "protocol": 2}]
    layer = RedisPubSubChannelLayer(hosts=hosts)
    channel = await layer.new_channel()
    await layer.group_add("group", channel)

    await layer.group_send("group", {"type": "message"})

    assert await layer.receive(channel) == {"type": "message"}
    await layer.flush()


async def test_kombu_and_flower(server: embedded.Redis) -> None:
    url = redis_url.for_kombu(server.url)
    with Connection(url, transport_options={"socket_timeout": 2, "socket_connect_timeout": 1}) as connection:
        queue = connection.SimpleQueue("orders")
        queue.put({"id": 1})
        assert await Broker(connection.as_uri(include_password=True)).queues(["orders"]) == [
            {"name": "orders", "messages": 1}
        ]
        assert queue.get(timeout=5).payload == {"id": 1}
        queue.close()


def test_only_its_owner_reaches_it(server: embedded.Redis) -> None:
    assert server.socket.stat().st_mode & 0o077 == 0
    assert server.socket.parent.stat().st_mode & 0o777 == 0o700


def test_another_kind_of_server_reads_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel's server may be newer than the one that is there after a move to another machine, and the other way."""
    if not (program := SERVERS["redis-server"]):
        pytest.skip("there is no redis-server on PATH")
    for turn, chosen in enumerate(("", program, "")):
        monkeypatch.setenv("REDIS_SERVER", chosen)
        server = embedded.redis(tmp_path)
        child = started(server)
        with redis.Redis.from_url(server.url) as client:
            assert client.dbsize() == turn
            client.set(f"key-{turn}", "value")
            client.bgrewriteaof()
            until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], 20)
        stop(child)
