"""What reaches our processes of the environment they were started in; and under which addresses they answer."""

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orderengine import environment, hosts
from orderengine.host import embedded, listening, supervise


def test_nothing_of_a_shell_changes_what_an_embedded_engine_does() -> None:
    given = {
        "PATH": "/bin",
        "PYTHONPATH": "/mine",
        "PGSSLMODE": "require",
        "PGHOSTADDR": "10.0.0.1",
        "PGDATESTYLE": "German",
        "PYTHONWARNINGS": "error",
        "DJANGO_SETTINGS_MODULE": "foo.bar",
        "HTTPS_PROXY": "http://proxy:1",
        "NO_PROXY": "intern.example",
    }
    environment.clean(given, embedded=True)
    assert given == {
        "PATH": "/bin",
        "PYTHONPATH": "/mine",
        "DJANGO_SETTINGS_MODULE": "orderengine.settings",
        "HTTPS_PROXY": "http://proxy:1",
        "NO_PROXY": "intern.example,127.0.0.1,localhost,::1",
        "no_proxy": "127.0.0.1,localhost,::1",
    }


def test_libpq_s_own_ways_to_a_server_stay_where_the_server_is_not_ours() -> None:
    given = {"PGPASSFILE": "/pass", "PGSSLROOTCERT": "/ca", "PGCLIENTENCODING": "LATIN1", "PGTZ": "Asia/Tokyo"}
    environment.clean(given, embedded=False)
    assert {name for name in given if name.startswith("PG")} == {"PGPASSFILE", "PGSSLROOTCERT"}


def test_a_service_inherits_only_what_is_named(tmp_path: Path) -> None:
    given = {"PATH": os.environ["PATH"], "DATA_DIR": "/d", "SECRET_KEY": "s", "PGOPTIONS": "x", "LANG": "xx"}
    print_all = [sys.executable, "-c", "import os; print(*sorted(os.environ.items()), sep='\\n')"]
    command = embedded.launch_command(tmp_path, "it", *embedded.service_options(), command=print_all)
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)
    found = dict(ast.literal_eval(line) for line in done.stdout.splitlines())
    assert found.pop("ORDERENGINE_PARENT").isdigit()
    assert found == {"PATH": os.environ["PATH"], "DATA_DIR": "/d", "LC_ALL": "C", "TZ": "UTC"}


def test_each_bind_address_has_names_to_be_reached_by() -> None:
    assert hosts.names("127.0.0.1", local=True) == hosts.names("::1", local=True) == ["localhost", "127.0.0.1", "[::1]"]
    assert hosts.names("192.0.2.7", local=False) == ["192.0.2.7"]
    assert hosts.names("2001:db8::7", local=False) == ["[2001:db8::7]"]
    for wildcard in hosts.WILDCARDS:
        assert {socket.gethostname().lower(), "127.0.0.1", *map(hosts.bracketed, hosts.own_addresses())} <= set(
            hosts.names(wildcard, local=False)
        )


@pytest.mark.parametrize("host", ["x86_64-conda-linux-gnu.invalid", "203.0.113.9", "no such host", "a" * 300 + ".x"])
def test_an_address_that_is_not_ours_is_named_as_that(host: str) -> None:
    with pytest.raises(listening.Taken, match="HOST .* is no address of this machine"):
        listening.bind(host, 0)


def test_a_path_that_no_configuration_can_hold_is_named(tmp_path: Path) -> None:
    with pytest.raises(supervise.Refused, match="DATA_DIR .* line break"):
        supervise.data_dir({"DATA_DIR": str(tmp_path / "two\nlines")})


@pytest.mark.parametrize("module", [["orderengine"], ["orderengine.container", "web"]])
def test_too_few_open_files_are_refused_in_every_mode(tmp_path: Path, module: list[str]) -> None:
    command = ["sh", "-c", 'ulimit -n 256 && exec "$@"', "sh", sys.executable, "-m", *module]
    environment = os.environ | {"DATA_DIR": str(tmp_path), "PORT": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("orderengine: only 256 files may be open and a process needs 1024"), done.stderr


def test_sockets_are_as_many_as_there_are_files_for(tmp_path: Path) -> None:
    code = "import django.conf; print(django.conf.settings.MAX_SOCKETS)"
    command = ["sh", "-c", 'ulimit -n 2048 && exec "$@"', "sh", sys.executable, "-c", code]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=True)
    assert int(done.stdout) == 2048 - 512
