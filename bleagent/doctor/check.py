"""What ``bleagent doctor`` finds: checks, each with what mends it, and the report of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum

SET_THE_DATE = (
    "timedatectl set-ntp true (NTP not supported? first: apt install systemd-timesyncd)\n"
    "then: timedatectl status"
)


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at; ``mend`` is what to do, empty where all is well."""

    name: str
    level: Level
    found: str
    expected: str
    mend: str = ""


@dataclass(slots=True)
class Report:
    """All checks."""

    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing failed; warnings may be there."""
        return all(one.level is not Level.FAIL for one in self.checks)

    def to_json(self) -> dict[str, object]:
        """``ok`` and ``checks``, each with all its fields."""
        return {"ok": self.ok, "checks": [asdict(one) for one in self.checks]}


def to_lines(check: Check) -> Iterator[str]:
    """One line where all is well, else also what was expected and what mends it.

    Each is one line for a terminal, also where several things were found.
    """
    found, *others = check.found.splitlines() or [""]
    yield f"{check.name}: {found}"
    yield from (f"    {line}" for line in others)
    if check.level is Level.OK:
        return
    yield f"    expected  {check.expected}"
    first, *more = check.mend.splitlines() or [""]
    if first:
        yield f"    do        {first}"
        yield from (f"              {line}" for line in more)


def ok(name: str, found: str, expected: str) -> Check:
    """All is well."""
    return Check(name=name, level=Level.OK, found=found, expected=expected)


def warn(name: str, found: str, expected: str, mend: str) -> Check:
    """It works, and something is to be thought about."""
    return Check(name=name, level=Level.WARN, found=found, expected=expected, mend=mend)


def fail(name: str, found: str, expected: str, mend: str) -> Check:
    """Doors stay shut, or the agent does not run."""
    return Check(name=name, level=Level.FAIL, found=found, expected=expected, mend=mend)
