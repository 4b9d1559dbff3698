"""Files that appear whole or not at all, several together; none is replaced half."""

from __future__ import annotations

import errno
import os
import signal
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from .faults import InitError
from .trust import followed, require_private

OPEN = 0o755
"""Mode of a folder without secrets."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class PartlyWritten(InitError):
    """What could be put into its place before one could not."""

    code = "init-partly-written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A file that is to be. ``told``: what it is.

    Of one that is there, mode and owner stay; but what is not for everybody never becomes so.
    """

    path: Path
    content: bytes = field(repr=False)
    mode: int
    told: str
    new: bool
    before: bytes | None = field(default=None, repr=False)
    """What was there when this was made up, where that has to be so still."""
    folder_mode: int = OPEN
    """Of its folder, where that has to be made."""

    @property
    def is_secret(self) -> bool:
        """Whether it is not for everybody."""
        return not self.mode & stat.S_IRWXO


def read(path: Path) -> bytes | None:
    """What is there, if anything is. Raises InitError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _trouble(path, error, "a file that can be read") from None


def write(changes: Sequence[Change]) -> None:
    """Write all of them beside their places, then put them there one after the other.

    Raises:
        InitError: one cannot be written; none was, if not PartlyWritten.
    """
    drafts: list[tuple[Path, Path]] = []
    try:
        for change in changes:
            path = followed(change.path)
            if change.is_secret:
                require_private(path.parent)
            draft = path.with_name(f".{path.name}.new")
            drafts.append((draft, path))
            try:
                if path.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
                _require_unchanged(change, path)
                _make_folder(path.parent, change.folder_mode)
                _write(draft, change, path)
            except OSError as error:
                raise _trouble(path, error, "a place that can be written") from None
        _put(drafts)
    finally:
        for draft, _ in drafts:
            with suppress(OSError):  # what could not be made is not there
                draft.unlink()


def _put(drafts: Sequence[tuple[Path, Path]]) -> None:
    put: list[str] = []
    try:
        for draft, path in drafts:
            draft.replace(path)
            put.append(str(path))
        for folder in {path.parent for _, path in drafts}:
            path = folder
            _sync(folder)
    except OSError as error:
        trouble = _trouble(path, error, "a place that can be written")
        if not put:
            raise trouble from None
        raise PartlyWritten(
            f"{path}: {error.strerror}, when {', '.join(put)} had been written",
            "a place that can be written",
            f"{trouble.mend}; then run this again: what is written is found",
        ) from None


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _require_unchanged(change: Change, path: Path) -> None:
    """Somebody may have edited it while the questions were asked."""
    edited = change.before is not None and read(path) != change.before
    if edited or (change.new and path.exists()):
        raise InitError(f"{path} changed since it was read", "it as it was", "run this again")


def _make_folder(folder: Path, mode: int) -> None:
    """With those above it, whatever the umask: the agent's user has to come by."""
    if folder.is_dir():
        return
    _make_folder(folder.parent, OPEN)
    folder.mkdir()
    folder.chmod(mode)


def _write(draft: Path, change: Change, path: Path) -> None:
    draft.unlink(missing_ok=True)
    before = path.stat() if path.exists() else None
    # Private until it is whole, and never through a link that somebody else put there.
    file = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(change.content)
        out.flush()
        if before is not None and os.geteuid() == 0:
            os.fchown(file, before.st_uid, before.st_gid)
        mode = change.mode if before is None else stat.S_IMODE(before.st_mode)
        os.fchmod(file, mode & ~stat.S_IRWXO if change.is_secret else mode)
        os.fsync(file)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until all are in place.

    Not by a mask of signals: that is a thread's, and another thread would take them.
    """
    came: list[int] = []
    before = {one: signal.signal(one, lambda number, _: came.append(number)) for one in _SIGNALS}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)


def _trouble(path: Path, error: OSError, expected: str) -> InitError:
    return InitError(
        f"{path}: {error.strerror}",
        expected,
        f"ls -ld {path} {path.parent}; run it as root, or with --directory for a folder of yours",
    )
