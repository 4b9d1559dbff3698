"""Room on the disk that is kept for openings (safety H2): a file that has nothing in it.

Where something else fills the disk it is given up, and operations go on in its place. What grows
gets none of it. It is made again where there is room.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

import anyio.to_thread

from bleagent.errors import StoreFull

from .files import FILE_MODE
from .ledger import RESERVE

SIZE = 2 * RESERVE
"""Bytes: so many for openings before there are only those with which none begins."""
PLENTY = 2 * SIZE
"""Bytes that have to be left beside it when it is made."""


class Reserve:
    """The room of one state directory; its databases ask from their own threads.

    ``free`` tells what is left on the disk.
    """

    def __init__(self, folder: Path, free: Callable[[], int]) -> None:
        self._path = folder / "reserve"
        self._free = free
        self._changing = Lock()
        self._held = self._is_whole()

    @property
    def held(self) -> bool:
        """Whether it is there."""
        return self._held

    def free(self) -> int:
        """Bytes for operations."""
        return self._free() + (SIZE if self._held else 0)

    def make_room(self) -> None:
        """For a write that an opening needs: give it up where little else is left."""
        if self._held and self._free() < RESERVE:
            with self._changing, suppress(OSError):
                self._path.unlink(missing_ok=True)
                self._held = False

    def leave_room(self) -> None:
        """For a write that can wait. Raises StoreFull where it would be at the doors' cost."""
        if not self._held and (free := self._free()) < SIZE + RESERVE:
            raise StoreFull(f"{free} bytes are free, and are left for openings")

    async def fill(self) -> None:
        """Take the room where there is plenty, and it is not there; later, where it fails."""
        if not self._held:
            await anyio.to_thread.run_sync(self._fill)

    def _fill(self) -> None:
        if self._free() < SIZE + PLENTY:
            return
        with self._changing, suppress(OSError):
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                os.posix_fallocate(file, 0, SIZE)
            finally:
                os.close(file)
            self._held = self._is_whole()

    def _is_whole(self) -> bool:
        """Not a copy that takes no room, as of a back-up."""
        try:
            return self._path.stat().st_blocks * 512 >= SIZE
        except OSError:
            return False
