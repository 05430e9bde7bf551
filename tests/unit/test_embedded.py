"""The parts of the embedded services that need no service."""

import os
import stat
from pathlib import Path

import pytest

from orderengine.host import embedded


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


def test_a_folder_with_other_things_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "thing").touch()
    tmp_path.chmod(0o755)

    embedded.data_folder(tmp_path)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_long_path_gets_a_short_private_socket_folder(tmp_path: Path) -> None:
    run_dir = tmp_path / ("long" * 30) / "run"

    first, second = embedded.socket_folder(run_dir), embedded.socket_folder(run_dir)

    try:
        assert first == second
        assert len(os.fsencode(first / "pg" / embedded.SOCKET_NAME)) < 104
        assert stat.S_IMODE(first.stat().st_mode) == 0o700
    finally:
        first.rmdir()


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
    assert redis.password not in said
    assert postgres.password in postgres.url
