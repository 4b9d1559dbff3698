"""How much this process grows while something happens again and again."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass, field
from pathlib import Path

WARM = 200
"""Rounds before memory is compared: caches fill, the allocator takes its pools."""
MAX_GROWTH = 1 << 20
"""Bytes of resident memory over the remaining rounds."""
TOLD_EVERY = 50


def resident() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Growth:
    """Told of each round; tells on the way (``pytest -s``), since a thousand take long."""

    what: str
    rounds: int
    _before: int = field(default_factory=resident)

    def round_ends(self, number: int) -> None:
        """Rounds count from 0."""
        if number == WARM - 1:
            self._before = resident()
        if (number + 1) % TOLD_EVERY == 0:
            print(f"\n{self}: {number + 1} of {self.rounds} connections", flush=True)

    @property
    def grown(self) -> int:
        """Bytes since the process was warm."""
        return resident() - self._before

    def __str__(self) -> str:
        return f"{self.what}: {self.grown / 1024:+.0f} KiB ({resident() >> 20} MiB)"
