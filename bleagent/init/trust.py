"""Where a secret may be put: not where somebody else could take it, or lead us elsewhere."""

from __future__ import annotations

import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

from .faults import InitError

_OF_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_AGENT = "bleagent"


def followed(path: Path) -> Path:
    """What a link leads to, if it is root's or ours; anything else as it is. Raises InitError."""
    if not path.is_symlink():
        return path
    if path.lstat().st_uid not in (0, os.geteuid()):
        raise _strange(path, "a link of somebody else's")
    return path.resolve()


def require_private(folder: Path) -> None:
    """Whether a secret is safe in a folder, which may have to be made yet.

    It, and those above it, belong to root, to us or to the agent's user; nobody else writes in it,
    and not everybody in those above, but where nobody renames what is another's.

    Raises:
        InitError: one of them is not so.
    """
    owners = {0, os.geteuid()}
    with suppress(KeyError):  # no such user on this machine
        owners.add(pwd.getpwnam(_AGENT).pw_uid)
    for one in (folder, *folder.parents):
        if not one.exists():
            continue
        found = one.stat()
        if found.st_uid not in owners:
            raise _strange(one, f"a folder of the user {found.st_uid}")
        shared = found.st_mode & (_OF_OTHERS if one == folder else stat.S_IWOTH)
        if shared and not (one != folder and found.st_mode & stat.S_ISVTX):
            raise _strange(one, "a folder in which others write")


def require_within(path: Path, root: Path) -> Path:
    """A path on a mounted card: its links lead to this machine's files. Raises InitError."""
    if root != Path("/") and not path.resolve().is_relative_to(root.resolve()):
        raise InitError(
            f"{path}: a link that leads out of {root}",
            "a card whose links stay on it",
            "run bleagent init on the gateway itself",
        )
    return path


def _strange(path: Path, what: str) -> InitError:
    return InitError(
        f"{path}: {what}",
        "a place for secrets that only root or you can change",
        f"ls -ld {path}; name a folder of your own, or run it as whose that is",
    )
