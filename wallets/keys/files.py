"""Key files: Solana CLI's format, readable by their owner only."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from wallets.keys.local import KeyRefused, LocalSigner, of_text

MAX_BYTES = 4096
OPEN_TO_OTHERS = 0o077


def read(path: Path) -> LocalSigner:
    """Raises `KeyRefused` for a file that others may read, that is not there or that holds no key."""
    signer = of_text(closed(path))
    if signer is None:
        raise KeyRefused(f"{path} holds no key: Solana CLI's array of 64 numbers, or base58 of 64 bytes")
    return signer


def closed(path: Path) -> bytes:
    """What is in a file that only its owner may read. Raises `KeyRefused` for another one, or where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeyRefused(f"{path} cannot be read: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise KeyRefused(f"{path} is no file")
        if found.st_mode & OPEN_TO_OTHERS:
            raise KeyRefused(f"{path} is open to others (mode {stat.S_IMODE(found.st_mode):o}): chmod 600")
        return os.read(descriptor, MAX_BYTES)
    finally:
        os.close(descriptor)


def write(path: Path, content: Callable[[], bytes]) -> None:
    """A new file of mode 600, on disk when this returns. Raises `KeyRefused` where there is one, or where none can be.

    `content` is called late, so that no traceback of here shows it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KeyRefused(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content())
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        path.unlink()
        raise KeyRefused(f"{path} cannot be written: {error.strerror}") from None
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
