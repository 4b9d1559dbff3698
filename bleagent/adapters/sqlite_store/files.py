"""The state directory: one holder, nobody else reads it, nothing in it is overwritten."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from bleagent.errors import AlreadyRunning, StoreError, StoreFull

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
INDEX = "-shm"  # of the log; SQLite makes it anew
SIDE_FILES = ("-wal", INDEX, "-journal")

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def file_errors() -> Iterator[None]:
    """Turn what the operating system says into the agent's errors.

    Raises:
        StoreFull: no space, or no quota left.
        StoreError: anything else.
    """
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        kind = StoreFull if error.errno in _NO_SPACE else StoreError
        raise kind(f"{where}{error.strerror}") from error


def make_directory(path: Path) -> None:
    """Make the state directory, for its owner only; an existing one stays as it is."""
    with file_errors():
        if not path.is_dir():
            path.mkdir(mode=DIRECTORY_MODE, parents=True)
            path.chmod(DIRECTORY_MODE)  # the umask may have taken more away


def make_file(path: Path) -> None:
    """Make an empty file that only its owner can read; it must not exist."""
    with file_errors():
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE)
        try:
            os.fchmod(file, FILE_MODE)
        finally:
            os.close(file)


def sync_directory(path: Path) -> None:
    """Names that were made, changed or removed survive a power cut after this."""
    with file_errors():
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def free_bytes(folder: Path) -> int:
    """What an unprivileged process may still write on the disk of this directory."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class StateLock:
    """The one holder of a state directory (reference: safety A5); released by ``close()``.

    The file stays behind on purpose: removing it would let two processes lock two files of
    one name. The kernel releases the lock of a process that dies.

    Raises:
        AlreadyRunning: another process holds it; the message names it.
        StoreError: the file cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "lock"
        with file_errors():
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            self._take(path)
        except BaseException:
            self.close()
            raise

    def _take(self, path: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            raise AlreadyRunning(f"process {holder or 'unknown'} holds {path}") from None
        with file_errors():
            os.fchmod(self._file, FILE_MODE)
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let the next one in. Closing twice does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def with_side_files(path: Path) -> list[Path]:
    """A database file and what SQLite puts beside it."""
    return [path, *(path.with_name(path.name + end) for end in SIDE_FILES)]


def tighten(path: Path) -> None:
    """Take others' rights from a database and its side files, where there are any."""
    with file_errors():
        for one in with_side_files(path):
            if one.exists() and one.stat().st_mode & 0o777 != FILE_MODE:
                one.chmod(FILE_MODE)


def move_aside(path: Path, now: datetime) -> Path:
    """Rename a database and its side files to ``name.damaged-<utc>``; nothing is replaced.

    The database goes last: whatever interrupts this, the next start finds either the database
    in its place or a moved one, never neither.
    """
    target = _free_name(path, now.astimezone(UTC))
    with file_errors():
        for end in (*SIDE_FILES, ""):
            source = path.with_name(path.name + end)
            if end and (end == INDEX or not (source.exists() and source.stat().st_size)):
                source.unlink(missing_ok=True)  # nothing that the other files do not have
            elif source.exists():
                source.chmod(FILE_MODE)
                source.rename(target.with_name(target.name + end))
    sync_directory(path.parent)
    return target


def _free_name(path: Path, now: datetime) -> Path:
    stem = f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}"
    candidate, count = path.with_name(stem), 1
    while any(one.exists() for one in with_side_files(candidate)):
        count += 1
        candidate = path.with_name(f"{stem}.{count}")
    return candidate


def moved_aside(path: Path) -> Path | None:
    """The newest file that was moved aside and that nobody has taken away yet."""
    names = set()
    for one in path.parent.glob(f"{path.name}.damaged-*"):
        name = one.name
        for end in SIDE_FILES:
            name = name.removesuffix(end)
        names.add(name)
    return path.with_name(max(names)) if names else None
