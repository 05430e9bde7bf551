"""A server that was set up by the commands of docs/deploy.md, on Debian with systemd: orders through TLS, and who may do what."""

import json

from tests.deploy.clients import ORDER
from tests.deploy.machine.alerts import Watch
from tests.deploy.machine.server import Server
from tests.deploy.stack.conftest import Say


def test_the_first_order_goes_through_tls(server: Server, watch: Watch, say: Say) -> None:
    server.ready()
    with server.client() as client:
        order = server.confirmed(client, ORDER)
        assert order["txHash"] and client.get("/metrics").status_code == 404
        assert client.get("/").status_code == 200
    say(f"first order through TLS: {order['status']} on {order['venue']}")


def test_sessions_are_encrypted_and_none_may_change_the_schema(server: Server) -> None:
    sessions = "SELECT count(*), count(*) FILTER (WHERE ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = "
    every, encrypted = server.postgres(sessions + "'orderengine'").split("|")
    assert int(every) >= 5 and every == encrypted
    assert server.postgres("SELECT has_schema_privilege('orderengine', 'public', 'CREATE')") == "f"
    assert (
        server.postgres("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'") == "orderengine_owner"
    )
    refused = server.machine.run("redis-cli ping", check=False).stdout
    assert "NOAUTH" in refused


def test_the_commands_work_beside_the_units(server: Server) -> None:
    placed = json.loads(server.follow("orderengine-manage order SOL USDC 1 --limit 900 --json").splitlines()[0])
    assert placed["orderId"] in server.follow("orderengine-manage orders --json")
    assert (
        json.loads(server.follow(f"orderengine-manage orders {placed['orderId']} --cancel --json"))["status"]
        == "cancelled"
    )
    assert server.follow("orderengine-manage dead-letters --json") == ""


def test_logs_are_json_and_hold_no_secret(server: Server) -> None:
    secrets = server.machine.ask("cat /etc/orderengine/secrets/*_password /etc/orderengine/secrets/secret_key").split()
    log = server.machine.ask("journalctl --no-pager -o cat _UID=$(id -u orderengine)")
    commands = server.machine.ask("ps -eo args")
    assert not any(secret in log or secret in commands for secret in [*secrets, server.key])
    lines = log.splitlines()
    odd = [line for line in lines if not line.startswith("{") and line != "prepared"]
    assert len(lines) > 20 and odd == []


def test_logs_of_a_foreground_engine_rotate(server: Server) -> None:
    server.machine.run(
        "cd /var/lib/orderengine && mkdir -p log && echo '{}' > log/web.log && chown -R orderengine: log"
    )
    said = server.machine.run("logrotate -d /opt/orderengine/share/orderengine/logrotate/orderengine").stderr
    assert "considering log /var/lib/orderengine/log/web.log" in said and "error" not in said
