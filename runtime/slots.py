"""Metrics of every process of a host in one place, and cheap to keep.

A value lives in its process; once the process has taken a slot in a shared folder, each change is also written through
a memory map, which survives kill -9. A slot is a set of files and a lock that its process holds for as long as it
lives. The next process of that kind takes over the slot of one that ended, so counters go on where they were, no file is
left behind, and gauges count only while the lock is held. Containers may share the folder: nothing depends on process ids.

The file format and the merging are prometheus_client's multi-process mode.
"""

import contextlib
import fcntl
import itertools
import json
import os
import struct
import threading
from pathlib import Path
from typing import Any, ClassVar

from prometheus_client import mmap_dict, values
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import CollectorRegistry

two_doubles = struct.Struct("dd").pack
MAX_SLOTS = 1_000
BROKEN = (struct.error, RuntimeError, UnicodeDecodeError, ValueError, IndexError)
"""What reading a file raises that a power cut left half-written."""
ENTRY_BYTES = 4 + 16
"""Of an entry beside its padded key: the key's length, the value and its time."""


class SlotsFull(Exception):
    """No slot is free in the folder of metrics."""


class ReservedDict(MmapedDict):
    """A map whose blocks the disk has: a write into a hole of a file on a full disk ends the process (SIGBUS).

    Raises `OSError` while there is no room.
    """

    def __init__(self, path: Path) -> None:
        size = path.stat().st_size if path.exists() else 0
        with path.open("ab") as file:
            reserve(file.fileno(), max(size, mmap_dict._INITIAL_MMAP_SIZE))
        super().__init__(str(path))

    def _init_value(self, key: str) -> None:
        length = len(key.encode())
        padded = length + (8 - (length + 4) % 8)
        capacity = self._capacity
        while self._used + padded + ENTRY_BYTES > capacity:
            capacity *= 2
        if capacity > self._capacity:
            reserve(self._f.fileno(), capacity)
        super()._init_value(key)


def reserve(descriptor: int, size: int) -> None:
    """Makes the file at least that long, holes filled. Raises `OSError` when the disk is full."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    # macOS. The descriptor appends, so what is there stays; files of ours have no holes there.
    while (missing := size - os.fstat(descriptor).st_size) > 0:
        os.write(descriptor, bytes(missing))


class SharedValue:
    """A number of a metric, as prometheus_client wants them (`prometheus_client.values`)."""

    _multiprocess = True
    _lock: ClassVar[threading.Lock] = threading.Lock()
    _all: ClassVar[list["SharedValue"]] = []
    _files: ClassVar[dict[str, MmapedDict]] = {}
    _slot: ClassVar[Path | None] = None
    """The slot's files are `{type}_{slot's name}.db` beside this lock file."""

    def __init__(
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: list[str],
        labelvalues: list[str],
        help_text: str,
        multiprocess_mode: str = "",
        **_: Any,
    ) -> None:
        self._kind = f"gauge_{multiprocess_mode}" if typ == "gauge" else typ
        self._key = mmap_key(metric_name, name, labelnames, labelvalues, help_text)
        self._value = 0.0
        self._file: MmapedDict | None = None
        self._at = 0
        with self._lock:
            self._all.append(self)
            # On a full disk the value stays this process's own: no caller is to fail for a metric.
            with contextlib.suppress(OSError):
                self._attach()

    def _attach(self) -> None:
        if self._slot is None:
            return
        file = self._files.get(self._kind)
        if file is None:
            file = self._files[self._kind] = opened(self._slot.with_name(f"{self._kind}_{self._slot.stem}.db"))
        if not self._kind.startswith("gauge"):
            self._value += file.read_value(self._key)[0]
        file.write_value(self._key, self._value, 0.0)
        self._at = file._positions[self._key]
        self._file = file

    def inc(self, amount: float) -> None:
        with self._lock:
            self._value += amount
            if self._file is not None:
                # As `write_value` does, without looking the key up each time: some ten of these go with an order.
                self._file._m[self._at : self._at + 16] = two_doubles(self._value, 0.0)

    def set(self, value: float, timestamp: float | None = None) -> None:
        with self._lock:
            self._value = value
            if self._file is not None:
                self._file.write_value(self._key, value, timestamp or 0.0)

    def get(self) -> float:
        return self._value

    def set_exemplar(self, exemplar: Any) -> None:
        pass

    def get_exemplar(self) -> None:
        return None


values.ValueClass = SharedValue


def opened(path: Path) -> MmapedDict:
    """The file, begun anew where a power cut has spoilt it."""
    try:
        file = ReservedDict(path)
        if not 8 <= file._used <= file._capacity:
            raise ValueError("used")
        return file
    except BROKEN:
        path.unlink()
        return ReservedDict(path)


def held(lock: Path) -> bool:
    """Whether a living process has the slot."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def take(folder: Path, kind: str) -> str:
    """This process's metrics are shared from now on; returns the slot's name. A second call changes nothing.

    Raises `SlotsFull`, `OSError` where the folder cannot be written; then nothing is shared and it may be tried again.
    """
    if SharedValue._slot is not None:
        return SharedValue._slot.stem
    folder.mkdir(parents=True, exist_ok=True)
    for n in itertools.count(1):
        if n > MAX_SLOTS:
            raise SlotsFull(f"{MAX_SLOTS} processes of the kind {kind} hold slots in {folder}")
        lock = folder / f"{kind}.{n}.lock"
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        os.close(descriptor)
    try:
        share(lock)
    except OSError:
        os.close(descriptor)
        raise
    return lock.stem


def share(lock: Path) -> None:
    """Writes all values to the slot's files; on `OSError` none is shared."""
    with SharedValue._lock:
        SharedValue._slot = lock
        before = [value._value for value in SharedValue._all]
        try:
            # The gauges of the slot's previous process say nothing any more.
            for stale in lock.parent.glob(f"gauge*_{lock.stem}.db"):
                stale.unlink()
            for value in SharedValue._all:
                value._attach()
        except OSError:
            SharedValue._slot = None
            SharedValue._files.clear()
            for value, number in zip(SharedValue._all, before, strict=True):
                value._value, value._file = number, None
            raise


def living(folder: Path) -> dict[str, int]:
    """How many living processes of each kind share their metrics in the folder."""
    found: dict[str, int] = {}
    for lock in folder.glob("*.lock"):
        kind = lock.stem.rpartition(".")[0]
        found[kind] = found.get(kind, 0) + held(lock)
    return found


def merged(folder: Path) -> CollectorRegistry:
    """All processes' metrics as a registry to be exposed."""
    living: dict[str, bool] = {}
    files = []
    for file in sorted(folder.glob("*.db")):
        slot = file.stem.rpartition("_")[2]
        if slot not in living:
            living[slot] = held(folder / f"{slot}.lock")
        if living[slot] or not file.name.startswith("gauge"):
            files.append(str(file))
    registry = CollectorRegistry()
    registry.register(Merged(files))
    return registry


class Merged:
    def __init__(self, files: list[str]) -> None:
        self._files = files

    def collect(self) -> Any:
        try:
            return MultiProcessCollector.merge(self._files)
        except BROKEN:
            return MultiProcessCollector.merge([file for file in self._files if readable(file)])


def readable(file: str) -> bool:
    try:
        return all(json.loads(key) for key, *_ in MmapedDict.read_all_values_from_file(file))
    except BROKEN:
        return False
