"""Roles, backup and restore, with Debian's Postgres and the files that are shipped."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.deploy import postgres
from tests.deploy.postgres import Server, connect
from tests.engine import BASE_DIR
from tests.waiting import until

pytestmark = pytest.mark.skipif(postgres.PROGRAMS is None, reason=postgres.REASON)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    home = Path(tempfile.mkdtemp(prefix="orderengine-database-"))
    server = Server(home)
    try:
        server.create()
        server.start()
        server.superuser("CREATE DATABASE orderengine", "postgres")
        server.roles()
        migrate(server)
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def migrate(server: Server) -> None:
    (server.home / "engine").mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": server.url("database_url_owner"),
        "REDIS_URL": os.environ["REDIS_URL"],
        "SECRET_KEY": "database-" * 8,
        "DATA_DIR": str(server.home / "engine"),
    }
    command = [sys.executable, "manage.py", "prepare", "--no-wait"]
    done = subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_runtime_role_reads_and_writes_rows_and_changes_no_schema(server: Server) -> None:
    server.roles()  # Again: nothing changes.
    with connect(server.url("database_url")) as runtime:
        assert runtime.execute("SELECT count(*) FROM orders_order").fetchone() == (0,)
        runtime.execute("DELETE FROM orders_order WHERE false")
        for statement in (
            "CREATE TABLE mine (id int)",
            "ALTER TABLE orders_order ADD COLUMN mine int",
            "DROP TABLE orders_order",
            "TRUNCATE orders_order",
            "CREATE ROLE mine",
            "SELECT pg_read_file('/etc/passwd')",
            "COPY orders_order TO PROGRAM 'cat'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                runtime.execute(statement)
    for secret, name in (("postgres_monitor_password", "orderengine_monitor"),):
        password = (server.secrets / secret).read_text().strip()
        with connect(f"postgresql://{name}:{password}@127.0.0.1:{server.port}/orderengine") as monitor:
            assert monitor.execute("SELECT count(*) FROM pg_stat_activity WHERE query IS NOT NULL").fetchone() != (0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                monitor.execute("SELECT * FROM orders_order")


def test_passwords_are_in_no_log(server: Server) -> None:
    log = (server.home / "postgres.log").read_text()
    assert not any(file.read_text().strip() in log for file in server.secrets.glob("postgres_*_password"))


def backup(
    server: Server, *arguments: str, check: bool = True, **environment: str
) -> "subprocess.CompletedProcess[str]":
    given = {"PGHOST": "127.0.0.1", "PGUSER": "orderengine_backup"}
    pgpass = server.home / "backup_pgpass"
    pgpass.write_text(
        (server.secrets / "backup_pgpass").read_text().replace("postgres:5432", f"127.0.0.1:{server.port}")
    )
    pgpass.chmod(0o444)  # As a container sees a secret.
    given |= {"PGPASS_SECRET": str(pgpass)}
    return server.run("bash", str(server.home / "backup.sh"), *arguments, check=check, **(given | environment))


def mark(server: Server, name: str) -> None:
    server.superuser(f"INSERT INTO django_site_marks VALUES ('{name}', clock_timestamp())")


def test_base_backup_archive_and_restore_to_a_moment(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.superuser("CREATE TABLE IF NOT EXISTS django_site_marks (name text, at timestamptz)")
    mark(server, "before the backup")
    said = [backup(server, "once").stderr]
    mark(server, "after the backup")
    moment = server.superuser("SELECT clock_timestamp()")
    time.sleep(1.1)  # The target's resolution is what separates the two marks.
    mark(server, "too late")
    segment = server.superuser("SELECT pg_walfile_name(pg_current_wal_lsn())")
    server.superuser("SELECT pg_switch_wal()")
    until(lambda: server.superuser("SELECT last_archived_wal FROM pg_stat_archiver") >= segment, 60, 0.2)
    said.append(backup(server, "verify").stderr)
    assert "0 orders" in said[-1]

    refused = backup(server, "restore", "latest", check=False, PGDATA=str(server.data))
    assert refused.returncode == 2 and "not empty" in refused.stderr
    too_early = backup(server, "restore", "2001-01-01 00:00+00", check=False, PGDATA=str(server.home / "none"))
    assert too_early.returncode == 2 and "no base backup before" in too_early.stderr

    server.stop()
    began = time.monotonic()
    shutil.move(server.data, server.home / "lost")
    said.append(backup(server, "restore", moment, PGDATA=str(server.data)).stderr)
    server.start()
    until(lambda: server.superuser("SELECT pg_is_in_recovery()") == "f", 60, 0.2)
    took = time.monotonic() - began
    assert server.superuser("SELECT string_agg(name, ', ' ORDER BY at) FROM django_site_marks") == (
        "before the backup, after the backup"
    )
    with capsys.disabled():
        print("\n" + "".join(said) + f"restored to a moment and serving after {took:.1f} s")


def test_old_backups_go_and_the_newest_stays(server: Server) -> None:
    folder = server.backup / "base"
    [only] = [one for one in folder.iterdir() if one.name.startswith("2")]
    old = folder / "20200101T000000Z"
    server.run("cp", "-a", str(only), str(old))
    for path in (old, only):
        os.utime(path, (0, 0))
    backup(server, "once")
    left = sorted(one.name for one in folder.iterdir())
    assert old.name not in left and only.name not in left and len(left) == 1
    os.utime(folder / left[0], (0, 0))
    backup(server, "verify")


def test_the_archive_keeps_what_it_has(server: Server, tmp_path: Path) -> None:
    """A segment that is sent again is the same; another one of its name is refused."""
    script, target = str(BASE_DIR / "deploy/postgres/archive-wal"), str(tmp_path / "wal")
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    codes = [
        subprocess.run([script, str(file), "SEGMENT"], env={"WAL_ARCHIVE": target, "PATH": "/usr/bin:/bin"}).returncode
        for file in (one, one, two)
    ]
    assert codes == [0, 0, 1] and (tmp_path / "wal" / "SEGMENT").read_text() == "1"
