"""docs/on-call.md, "Restore", on a server with orders in it: to a moment, and to the archive's end."""

import shlex
import time

from tests.deploy.clients import ORDER
from tests.deploy.machine.documents import block
from tests.deploy.machine.server import Server
from tests.deploy.stack.conftest import Say
from tests.waiting import until


def restored(server: Server, to: str) -> float:
    """By the documented block. Returns the seconds from stopping the engine until orders are executed again."""
    server.machine.run("rm -rf /var/lib/postgresql/*/main.lost")
    script = block("on-call.md", "Restore", "systemctl stop").replace("TO=latest", f"TO={shlex.quote(to)}")
    began = time.monotonic()
    server.follow(script, limit_s=600)
    server.ready()
    return time.monotonic() - began


def archived(server: Server) -> None:
    segment = server.postgres("SELECT pg_walfile_name(pg_current_wal_lsn())")
    server.postgres("SELECT pg_switch_wal()")
    until(lambda: server.postgres("SELECT last_archived_wal FROM pg_stat_archiver") >= segment, 90, 0.5)


def test_restore_to_a_moment_and_to_the_end(server: Server, say: Say) -> None:
    server.systemctl("start", "orderengine-backup")
    verified = server.machine.run(
        "cd / && runuser -u postgres -- env BACKUP_DIR=/var/backups/orderengine PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin)"
        " bash /opt/orderengine/share/orderengine/postgres/backup.sh verify"
    ).stderr
    say(verified.strip())
    with server.client() as client:
        kept = server.confirmed(client, ORDER)["orderId"]
        time.sleep(1.1)  # The target's resolution separates the two orders.
        moment = server.postgres("SELECT clock_timestamp()")
        time.sleep(1.1)
        lost = server.confirmed(client, ORDER)["orderId"]
        archived(server)
        took = restored(server, moment)
        say(f"restored to a moment, from stopping the engine to executing again: {took:.0f} s")
        assert client.get(f"/api/orders/{kept}").json()["status"] == "confirmed"
        assert client.get(f"/api/orders/{lost}").status_code == 404

        last = server.confirmed(client, ORDER)["orderId"]
        server.systemctl("start", "orderengine-backup")
        archived(server)
        took = restored(server, "latest")
        say(f"restored to the archive's end: {took:.0f} s")
        assert {client.get(f"/api/orders/{one}").json()["status"] for one in (kept, last)} == {"confirmed"}
        server.confirmed(client, ORDER)
