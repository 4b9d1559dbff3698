"""Records as JSON lines in a file of this machine: durable, rotated, for whatever reads files.

At least once, as everywhere: the ids at the end of the file are remembered, so that a record whose
mark was lost by a crash is not written a second time.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio.to_thread

from bleagent.records.record import DONE, Receipt, ReceiptKind, StoredRecord

from .view import People, record_view

REMEMBERED = 1024
"""Ids at the end of the file that are not written again."""
TAIL = 512 * 1024
"""Bytes at the end of the file in which they are looked for."""
_MODE = 0o600
ADVICE = "Its folder must exist, and the agent's user must be able to write there."


class FileSink:
    """Implements ``ports.RecordSink``.

    Args:
        name: the operator's name for it.
        path: the file; ``path.1`` is the one before it, and so on.
        max_bytes: a file that is larger is rotated away.
        keep: how many rotated files stay; the oldest one goes.
        people: knows whose credential a record is about.
    """

    batch = 100

    def __init__(self, name: str, path: Path, *, max_bytes: int, keep: int, people: People) -> None:
        self.name = name
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._people = people
        self._written: deque[str] | None = None

    def wrong(self) -> str | None:
        """What keeps it from being written, as far as can be seen beforehand."""
        folder = self._path.parent
        if not folder.is_dir():
            return f"{folder} is no folder"
        if self._path.is_dir():
            return f"{self._path} is a folder"
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"{folder} may not be written"
        return None

    async def deliver(self, records: Sequence[StoredRecord]) -> list[Receipt]:
        """On disk when this returns DONE."""
        views = [record_view(one, self._people) for one in records]
        try:
            await anyio.to_thread.run_sync(self._append, views)
        except OSError as error:
            what = error.strerror or type(error).__name__
            later = Receipt(
                kind=ReceiptKind.LATER, code="cannot-write", detail=f"{self._path}: {what}",
                advice=ADVICE,
            )  # fmt: skip
            return [later] * len(records)
        return [DONE] * len(records)

    def _append(self, views: list[dict[str, object]]) -> None:
        known = self._known()
        new = [one for one in views if one["id"] not in known]
        if not new:
            return
        self._rotate()
        lines = b"".join(_line(one) for one in new)
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _MODE)
        try:
            size = os.fstat(descriptor).st_size
            if _is_torn(descriptor):
                lines = b"\n" + lines  # a crash left half a line: the next one begins anew
            try:
                _write_all(descriptor, lines)
                os.fsync(descriptor)
            except OSError:
                self._written = None  # whatever of it is there will be found
                with suppress(OSError):
                    os.ftruncate(descriptor, size)  # the same lines come again
                raise
        finally:
            os.close(descriptor)
        known.extend(str(one["id"]) for one in new)

    def _known(self) -> deque[str]:
        if self._written is None:
            self._written = deque(_ids_at_end(self._path), maxlen=REMEMBERED)
        return self._written

    def _rotate(self) -> None:
        if not self._path.exists() or self._path.stat().st_size < self._max_bytes:
            return
        if self._keep == 0:
            self._path.unlink()
            return
        for number in range(self._keep, 0, -1):
            older = self._path if number == 1 else self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        _sync_folder(self._path.parent)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _line(view: dict[str, object]) -> bytes:
    return json.dumps(view, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _is_torn(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ids_at_end(path: Path) -> list[str]:
    """Of the last whole lines, oldest first; what is no record of ours is passed over."""
    try:
        with path.open("rb") as file:
            os.fsync(file.fileno())  # they are taken for done
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            name = json.loads(line)["id"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(name, str):
            found.append(name)
    return found[-REMEMBERED:]
