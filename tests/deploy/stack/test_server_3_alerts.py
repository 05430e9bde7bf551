"""Each alert of deploy/prometheus/alerts.yml is caused once in a running Prometheus, arrives at the receiver, and goes.

The expressions are those that are shipped; only their waits are shorter. The last test prints the table of docs/on-call.md.
"""

import contextlib
import subprocess
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.deploy.clients import ORDER
from tests.deploy.machine.alerts import Watch, rules
from tests.deploy.machine.documents import block
from tests.deploy.machine.server import Server
from tests.deploy.stack.conftest import Say
from tests.waiting import until

PAIRS = ("SOL-USDC", "JUP-USDC", "BONK-USDC")
REDIS = 'redis-cli -u "$(cat /etc/orderengine/secrets/redis_url_worker)" --no-auth-warning'
FILL = f"for n in $(seq 45); do {REDIS} setrange fill:$n 11000000 x; done"
EMPTY = f"for n in $(seq 45); do {REDIS} del fill:$n; done"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


@contextlib.contextmanager
def posting(server: Server, rate: float = 40) -> Iterator[None]:
    """Orders, whatever is answered."""
    ended = threading.Event()

    def post() -> None:
        with server.client() as client:
            while not ended.wait(4 / rate):
                with contextlib.suppress(httpx.HTTPError):
                    client.post("/api/orders/execute", json=ORDER)

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_nothing_fires_on_a_sound_server(watch: Watch, server: Server) -> None:
    server.ready()
    with server.client() as client:
        server.confirmed(client, ORDER)
    until(lambda: len(watch.value("up == 1")) >= 2, 60, 1)
    until(lambda: watch.firing <= {"BackupOld"}, 400, 1)  # After an upgrade whose traces go after five minutes.


def test_only_the_proxy_is_reached_from_elsewhere(watch: Watch, server: Server) -> None:
    """Prometheus, Alertmanager and the exporter run by now as well."""
    listening = server.machine.ask("ss -Hltn | awk '{print $4}'").split()
    outside = {address.rpartition(":")[2] for address in listening if not address.startswith(("127.", "[::1]"))}
    assert outside == {"80", "443"}, listening


def test_executors_and_dbsync_are_gone(watch: Watch, server: Server) -> None:
    """Killed with orders on their way, and limit orders fire meanwhile; then they come back to what has piled up."""
    names = ("NoExecutor", "OrdersNotTaken", "DbsyncMissing", "TransactionUnresolved", "QueueGrows")
    with server.staff() as staff, server.client() as client, posting(server):
        staff.post("/api/mock/market", json={"pair": "SOL-USDC", "price": "100", "hold": True}).raise_for_status()
        for _ in range(20):
            order = ORDER | {"type": "limit", "limitPrice": "130"}
            client.post("/api/orders/execute", json=order).raise_for_status()
        until(
            lambda: server.postgres("SELECT count(*) > 3 FROM orders_order WHERE status = 'submitted'") == "t", 60, 0.2
        )
        watch.cause("`orders` and `dbsync` killed with orders on their way", *names)
        server.systemctl("kill", "-s", "KILL", "orderengine@orders", "orderengine@dbsync")
        server.systemctl("stop", "orderengine@orders", "orderengine@dbsync")
        staff.post("/api/mock/market", json={"pair": "SOL-USDC", "price": "140"}).raise_for_status()
        watch.fire(*names, limit_s=330)
        watch.cause("what had piled up, once they were back", "ConfirmSlow", "TriggersLate", "ExecutorLost")
        server.systemctl("start", "orderengine@dbsync", "orderengine@orders")
        watch.mend(*names)
    watch.fire("ConfirmSlow", "TriggersLate", "ExecutorLost")
    with server.staff() as staff:
        staff.post("/api/mock/market", json={"pair": "SOL-USDC", "price": "100", "hold": False}).raise_for_status()
    until(
        lambda: server.postgres("SELECT count(*) FROM orders_order WHERE finished_at IS NULL AND NOT resting") == "0",
        180,
        1,
    )
    watch.mend("ConfirmSlow", "TriggersLate", "ExecutorLost")


def test_nobody_sends_webhooks(watch: Watch, server: Server) -> None:
    watch.cause("`webhooks` stopped", "WebhooksMissing")
    server.systemctl("stop", "orderengine@webhooks")
    watch.fire("WebhooksMissing")
    server.systemctl("start", "orderengine@webhooks")
    watch.mend("WebhooksMissing")


def test_both_venues_fail(watch: Watch, server: Server) -> None:
    names = ("VenueDown", "QuotesStale", "OrdersFailing", "DeadLetters")
    with server.staff() as staff:
        watch.cause("both venues answer with errors", *names)
        for pair in PAIRS:
            staff.post(
                "/api/mock/market", json={"pair": pair, "raydium": "error", "meteora": "error"}
            ).raise_for_status()
        with posting(server, rate=20):
            watch.fire(*names)
        for pair in PAIRS:
            staff.post("/api/mock/market", json={"pair": pair, "raydium": "ok", "meteora": "ok"}).raise_for_status()
    server.ready()
    until(
        lambda: server.postgres("SELECT count(*) FROM orders_order WHERE finished_at IS NULL AND NOT resting") == "0",
        180,
        1,
    )
    server.follow("orderengine-manage dead-letters requeue --all")
    watch.mend(*names)


def test_postgres_is_slow(watch: Watch, server: Server) -> None:
    """Whoever holds a table's lock for 1.3 s again and again."""
    names = ("AcceptSlow", "DatabasePoolWaits")
    ended = threading.Event()

    def read() -> None:
        with server.client() as client:
            while not ended.is_set():
                with contextlib.suppress(httpx.HTTPError):
                    client.get("/api/orders?limit=1")

    watch.cause("a session that locks `orders_order` for 1.3 s again and again", *names)
    threads = [threading.Thread(target=read) for _ in range(40)]
    for thread in threads:
        thread.start()
    try:
        with posting(server), locking(server):
            watch.fire(*names, limit_s=240)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    watch.mend(*names)


@contextlib.contextmanager
def locking(server: Server) -> Iterator[None]:
    ended = threading.Event()
    script = "BEGIN; LOCK TABLE orders_order IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(1.3); COMMIT"

    def lock() -> None:
        while not ended.wait(0.1):
            server.postgres(script)

    thread = threading.Thread(target=lock)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_postgres_is_away(watch: Watch, server: Server) -> None:
    watch.cause("Postgres stopped while orders come", "AcceptRefused")
    with posting(server):
        server.systemctl("stop", "postgresql")
        watch.fire("AcceptRefused")
    server.systemctl("start", "postgresql")
    watch.mend("AcceptRefused")
    server.ready()


def test_a_defect(watch: Watch, server: Server) -> None:
    """One order is enough."""
    watch.cause("a statement that the engine's role may not run", "EngineErrors")
    server.postgres("REVOKE INSERT ON orders_order FROM orderengine")
    with server.client() as client:
        assert client.post("/api/orders/execute", json=ORDER).status_code == 500
    server.postgres("GRANT INSERT ON orders_order TO orderengine")
    watch.fire("EngineErrors")
    watch.mend("EngineErrors")


def test_redis_is_full_and_then_away(watch: Watch, server: Server) -> None:
    watch.cause("Redis filled to 95 % of its maxmemory", "RedisMemory")
    server.machine.run(FILL)
    watch.fire("RedisMemory")
    server.machine.run(EMPTY)
    watch.mend("RedisMemory")
    watch.cause("Redis stopped", "DependencyDown")
    server.systemctl("stop", "redis-server")
    watch.fire("DependencyDown")
    server.systemctl("start", "redis-server")
    server.ready()
    watch.mend("DependencyDown")


def test_no_web_process_answers(watch: Watch, server: Server) -> None:
    watch.cause("both web processes stopped", "EngineNotScraped")
    server.systemctl("stop", "orderengine-web@8001", "orderengine-web@8002")
    watch.fire("EngineNotScraped")
    server.systemctl("start", "orderengine-web@8001", "orderengine-web@8002")
    server.ready()
    watch.mend("EngineNotScraped")


def test_a_clock_is_wrong(watch: Watch, server: Server) -> None:
    folder = "/etc/systemd/system/orderengine@quotes.service.d"
    environment = f"[Service]\\nEnvironment=LD_PRELOAD={FAKETIME} FAKETIME=+20s FAKETIME_DONT_FAKE_MONOTONIC=1\\n"
    watch.cause("a process whose clock is 20 s ahead", "ClockSkew")
    server.machine.run(f"mkdir {folder}; printf '{environment}' > {folder}/clock.conf; systemctl daemon-reload")
    server.systemctl("restart", "orderengine@quotes")
    watch.fire("ClockSkew")
    server.machine.run(f"rm -r {folder}; systemctl daemon-reload; systemctl restart orderengine@quotes")
    watch.mend("ClockSkew")
    server.ready()


@pytest.mark.skipif(
    subprocess.run(["sh", "-c", "test -x /usr/sbin/rabbitmq-server"]).returncode != 0,
    reason="apt-get install rabbitmq-server",
)
def test_rabbitmq_is_out_of_memory(watch: Watch, server: Server) -> None:
    """After the documented change of the broker; then back to Redis."""
    server.follow(block("deploy.md", "RabbitMQ", "rabbitmq-plugins"))
    server.ready()
    with server.client() as client:
        server.confirmed(client, ORDER)
    watch.cause("RabbitMQ's memory limit at 1 MB", "BrokerAlarm")
    server.machine.run("rabbitmqctl set_vm_memory_high_watermark absolute 1MB")
    watch.fire("BrokerAlarm")
    server.machine.run("rabbitmqctl set_vm_memory_high_watermark 0.6")
    watch.mend("BrokerAlarm")
    until(lambda: "BrokerAlarm" not in watch.firing, 60, 1)
    server.machine.run(
        "sed -i /CELERY_BROKER_URL/d /etc/orderengine/orderengine.env; systemctl restart 'orderengine*@*'"
    )
    server.ready()
    server.machine.run("systemctl stop rabbitmq-server")


def test_every_alert_has_fired_and_is_gone(watch: Watch, server: Server, say: Say) -> None:
    """The archive has been refused since the server stands: the alert asks for a quarter of an hour of that."""
    try:
        watch.fire("BackupOld", limit_s=1_000)
        server.machine.run("chown postgres /var/backups/orderengine/wal && chmod 700 /var/backups/orderengine/wal")
        watch.mend("BackupOld")
        names = {rule["alert"] for rule in rules()}
        until(lambda: names <= set(watch.resolved), 420, 1)

        def arrived() -> bool:
            # AcceptRefused is kept back while DependencyDown says that it is Postgres.
            expected = {(name, state) for name in names - {"AcceptRefused"} for state in ("firing", "resolved")}
            return expected <= watch.received

        until(arrived, 60, 1)
    finally:
        say("| alert | cause | fired after | gone after |\n|---|---|---|---|")
        for name in watch.caused:
            say(watch.row(name))
