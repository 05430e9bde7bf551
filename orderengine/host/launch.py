"""Becomes one process of the engine: `launch.py RUN_DIR NAME [options] -- command…`.

Run as a script with nothing but the standard library: it runs at every start and restart of every process.
It writes RUN_DIR/NAME.pid, ties the process to its parent, and is replaced by the command; the pid stays.
"""

import argparse
import contextlib
import ctypes
import errno
import os
import re
import resource
import signal
import socket
import sys
import time
from pathlib import Path

PARENT = "ORDERENGINE_PARENT"
"""Environment: the pid of the process that starts others. Whoever has another was orphaned at its start."""

MAX_FILES = 65_536
MIN_FILES = 1_024
"""A web process without clients has some sixty open; below this the sockets that are left are not worth a start."""
YOUNG_S = 3.0
"""A process that ends younger than this waits a second before it runs again: a crash loop must not use a core up."""

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 28, 47, 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522


def die_with_parent(signum: int) -> None:
    """Linux sends `signum` when the parent ends, also by kill -9. Elsewhere the next start cleans up."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0)
    parent = os.environ.get(PARENT)
    if parent and int(parent) != os.getppid():
        sys.exit("the parent is gone")


def become(uid: int, gid: int) -> None:
    """Drop root for good; keep only the right to pass closed folders: a clone may lie below such a one."""
    linux = sys.platform == "linux"
    libc = ctypes.CDLL(None, use_errno=True)
    if linux:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        # Otherwise access(2), which initdb asks about its programs, looks away from the capability.
        libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if not linux:
        return
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    bit = 1 << CAP_DAC_READ_SEARCH
    # Two triples of effective, permitted, inheritable; an ambient capability survives exec by itself.
    if libc.capset(header, (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)) == 0:
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0)
    else:
        libc.capset(header, (ctypes.c_uint32 * 6)())


def receive_listener(path: str) -> None:
    """The listening socket, as descriptor 3, from the foreground command, which holds it across restarts."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(path)
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    if descriptors[0] != 3:
        os.dup2(descriptors[0], 3)
        os.close(descriptors[0])
    os.set_inheritable(3, True)


def write_pid(file: Path) -> float:
    """Returns how many seconds ago the previous process of that name started (infinite: none did).

    A full disk does not keep a process from starting: the file is then overwritten in place, or names nobody.
    """
    try:
        age = max(0.0, time.time() - file.stat().st_mtime)
    except FileNotFoundError:
        age = float("inf")
    new = file.with_suffix(".new")
    try:
        new.write_text(f"{os.getpid()}\n")
        new.replace(file)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        with contextlib.suppress(OSError), file.open("r+b") as stream:
            stream.write(b"%d\n" % os.getpid())
            stream.truncate()
        age = min(age, 0.0)
    return age


def file_limit() -> int:
    """How many files a process may have open once its limit is raised."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)


def check_file_limit() -> None:
    """Raises `ValueError` where the hard limit leaves no room for sockets beside connections and files."""
    if (limit := file_limit()) < MIN_FILES:
        raise ValueError(
            f"only {limit} files may be open and a process needs {MIN_FILES}: raise the hard limit"
            " (`ulimit -Hn`, systemd's LimitNOFILE, compose's ulimits)"
        )


def raise_file_limit() -> None:
    """To MAX_FILES, or as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = file_limit()
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def take_turns() -> None:
    """A process that wakes up does not preempt the one that runs (Linux' batch policy).

    Under load a dozen processes wake each other thousands of times a second, and every early switch costs warm caches.
    A policy that whoever started the engine chose (idle, a real-time one) stays.
    """
    if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with contextlib.suppress(OSError):  # A container may forbid it.
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def limit_environment(pattern: str, fixed: list[str]) -> None:
    """Keeps the variables whose name matches, and sets those of `fixed` (NAME=VALUE)."""
    for name in [name for name in os.environ if not re.fullmatch(pattern, name)]:
        del os.environ[name]
    for entry in fixed:
        name, _, value = entry.partition("=")
        os.environ[name] = value


def ready(arguments: list[str]) -> list[str]:
    """Makes of this process what the arguments say; returns the command that it is to become."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("name")
    parser.add_argument("--user", help="UID:GID to run as")
    parser.add_argument("--death-signal", default="SIGTERM", help="what the parent's death sends")
    parser.add_argument("--listener", help="the socket that hands over the listening socket")
    parser.add_argument("--after", type=float, default=0.0, help="seconds to let others go first, at the first start")
    parser.add_argument("--nice", type=int, default=0, help="how far others go first where processors are short")
    parser.add_argument("--directory", default=None)
    parser.add_argument("--inherit", help="regular expression of the variables that the command inherits")
    parser.add_argument("--without", action="append", default=[], help="a variable that the command does not inherit")
    parser.add_argument("--set", action="append", default=[], help="NAME=VALUE beside those")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)

    age = write_pid(options.run_dir / f"{options.name}.pid")
    if options.user:
        uid, gid = map(int, options.user.split(":"))
        become(uid, gid)
    # After become: a change of credentials clears it.
    die_with_parent(signal.Signals[options.death_signal])
    if age == float("inf"):
        time.sleep(options.after)
    elif age < YOUNG_S:
        time.sleep(min(1.0, YOUNG_S - age))
    if options.listener:
        receive_listener(options.listener)
    if options.directory:
        os.chdir(options.directory)
    raise_file_limit()
    os.nice(options.nice)
    take_turns()
    os.environ[PARENT] = str(os.getpid())
    for name in options.without:
        os.environ.pop(name, None)
    if options.inherit:
        limit_environment(options.inherit, options.set)
    return list(options.command)


def main() -> None:
    command = ready(sys.argv[1:])
    os.execvp(command[0], command)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"launch {' '.join(sys.argv[1:])}: {error}")
