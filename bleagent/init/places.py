"""Where everything goes: the service's places, or a folder of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Paths as the gateway has them. ``root`` stands before each: a card that is mounted there."""

    config: Path
    secrets: Path
    """The folder of the secrets, which nobody else may look into."""
    drop_in: Path | None = None
    """What tells systemd to hand the secrets over; without it the configuration names files."""
    root: Path = Path("/")

    def here(self, path: Path) -> Path:
        """A path of the gateway as this machine has it."""
        return self.root / path.relative_to("/")

    @property
    def is_service(self) -> bool:
        """Whether systemd runs it."""
        return self.drop_in is not None

    @property
    def is_this_machine(self) -> bool:
        """Whether it is to run here: what is encrypted with a key of this machine is read here."""
        return self.root == Path("/")


def of_service(root: Path = Path("/")) -> Place:
    """Where unit and package expect it."""
    etc = Path("/etc")
    return Place(
        config=etc / "bleagent/config.toml",
        secrets=etc / "bleagent/credentials",
        drop_in=etc / "systemd/system/bleagent.service.d/credentials.conf",
        root=root,
    )


def of_folder(folder: Path) -> Place:
    """All of it in one folder, for `bleagent run`; ``folder`` is absolute."""
    return Place(config=folder / "config.toml", secrets=folder / "secrets")
