"""``bleagent support-bundle``: what helps others to help, and nothing that opens a door.

A list of parts, each a text that was cleaned; then one file of them. Never a database, never a
key, never what went through the air (safety G2).
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .redaction import Redaction

FOLDER = "bleagent-support"
APPLICATION, VERSION = slice(68, 72), slice(60, 64)
"""Where a SQLite file's header has its owner and the version of its form."""
HEADER = 100
"""Bytes of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of the bundle."""

    name: str
    text: str

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.text.encode())


def as_json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """As a part's text."""
    return json.dumps(value, indent=1, default=str)


def cleaned(parts: Iterable[Part], redaction: Redaction, *, all_known: bool) -> list[Part]:
    """Without secrets and identities; ``all_known``: every secret could be looked for.

    Where one could not, what others wrote is left out: nobody would have seen it there.
    """
    found = []
    for part in parts:
        text = redaction.clean(part.text)
        if not all_known and part.name in WRITTEN_BY_OTHERS:
            text = "left out: a secret could not be read here, and so not be looked for in it\n"
        elif redaction.found(text.encode()):  # across lines
            text = "left out: a secret stood in it\n"
        found.append(Part(name=part.name, text=text))
    return found


WRITTEN_BY_OTHERS = frozenset({"journal.txt"})


def database(header: bytes, size: int) -> dict[str, Any]:
    """A database by its size and the beginning of its file."""
    return {
        "bytes": size,
        "owner": header[APPLICATION].hex() if len(header) >= HEADER else None,
        "version": int.from_bytes(header[VERSION], "big") if len(header) >= HEADER else None,
    }


def packed(parts: Iterable[Part], *, unix: int) -> bytes:
    """As ``.tar.gz``. Whose machine it was is not in it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for part in parts:
            raw = part.text.encode()
            entry = tarfile.TarInfo(f"{FOLDER}/{part.name}")
            entry.size, entry.mtime, entry.mode = len(raw), unix, 0o600
            archive.addfile(entry, io.BytesIO(raw))
    return stream.getvalue()
