"""The drop-in that tells systemd which credentials to hand over: read, and added to. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .text import added

_LINE = re.compile(r"(?m)^[ \t]*LoadCredential(Encrypted)?=([^:\s]+):(.+?)[ \t]*$")
HEAD = "# What the agent is handed of its secrets. `bleagent init` wrote it, and only adds to it.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One line of it."""

    name: str
    path: Path
    encrypted: bool

    @property
    def line(self) -> str:
        """As systemd reads it."""
        kind = "LoadCredentialEncrypted" if self.encrypted else "LoadCredential"
        return f"{kind}={self.name}:{self.path}\n"


def credentials_in(text: str) -> dict[str, Credential]:
    """Those that are handed over already, by name; of two lines the last."""
    return {
        name: Credential(name=name, path=Path(path), encrypted=encrypted is not None)
        for encrypted, name, path in (
            (found[1], found[2], found[3]) for found in _LINE.finditer(text)
        )
    }


def with_credentials(text: str, more: Iterable[Credential]) -> str:
    """The text with lines for what it does not hand over yet; each line that it has stays."""
    known = credentials_in(text)
    lines = [one.line for one in more if one.name not in known]
    if not lines:
        return text
    if not text:
        return f"{HEAD}[Service]\n{''.join(lines)}"
    # A section may be opened again: nobody has to know which one the text ends with.
    return added(text, f"[Service]\n{''.join(lines)}")
