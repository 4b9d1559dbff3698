"""The Debian package under test, and one that came before it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

OLDER = "0~before"


def older(package: Path, folder: Path) -> Path:
    """The same with a version that comes before every other."""
    unpacked, made = folder / "unpacked", folder / "older.deb"
    _run("dpkg-deb", "--raw-extract", package, unpacked)
    control = unpacked / "DEBIAN/control"
    text, changed = re.subn(r"(?m)^Version: .*$", f"Version: {OLDER}", control.read_text())
    assert changed == 1, text
    control.write_text(text)
    # Nobody keeps it: packing it hard would be time lost.
    _run("dpkg-deb", "-Znone", "--root-owner-group", "--build", unpacked, made)
    return made


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - ours
