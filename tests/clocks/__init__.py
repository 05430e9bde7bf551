"""Stepping the wall clock of one process and no other."""

import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("stepped.c")


class Clocks:
    """The clocks of all processes started with `environment`, by pid.

    Needs Linux and a C compiler: `available` says so.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "clocks"
        self._folder.mkdir()
        self._folder.chmod(0o777)  # Embedded services run as another user.
        library = folder / "clock.so"
        subprocess.run([compiler(), "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE)], check=True)
        self.environment = {"LD_PRELOAD": str(library), "ORDERENGINE_CLOCKS": str(self._folder)}

    @staticmethod
    def available() -> bool:
        return bool(compiler()) and Path("/proc").exists()

    def step(self, pid: int, seconds: float) -> None:
        """From now on the process's wall clock is so many seconds ahead of the machine's (negative: behind)."""
        file = self._folder / str(pid)
        with file.open("r+b") as stream:  # It is there, or the process does not run under the preload.
            stream.write(struct.pack("=q", int(seconds * 1e9)))


def compiler() -> str:
    return shutil.which("cc") or shutil.which("gcc") or ""
