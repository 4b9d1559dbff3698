"""What of the configuration may change while the daemon runs, and what needs a restart.

One table for all keys. What is not named by itself goes by what it stands in; nothing is taken
for changeable because somebody forgot it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from .base import Section
from .file import Config
from .secret_source import SecretSource


class Takes(StrEnum):
    """What a change of a key takes."""

    RELOAD = "reload"
    RESTART = "restart"


_HOW_IT_IS_OPERATED = (
    "code_source", "device_random", "instruction_air", "lock_via", "offline", "offline_max_age",
    "sharing", "sn_start",
)  # fmt: skip
"""Strategies that are looked at anew for each operation or connection."""
TABLE: Mapping[str, Takes] = {
    "state_dir": Takes.RESTART,
    "http": Takes.RESTART,  # where it listens
    "http.allowed_hosts": Takes.RELOAD,
    "http.tls.certificate": Takes.RELOAD,
    "http.tls.key": Takes.RELOAD,
    "http.token": Takes.RELOAD,
    "http.users": Takes.RELOAD,
    "cloud": Takes.RESTART,
    "radio": Takes.RESTART,
    "vault": Takes.RESTART,
    "records": Takes.RESTART,
    "sinks": Takes.RESTART,
    "webhooks": Takes.RESTART,
    "strategies": Takes.RESTART,  # of what is brought to a lock: it has a desk for it, or none
    **{f"strategies.{name}": Takes.RELOAD for name in _HOW_IT_IS_OPERATED},
    "locks": Takes.RESTART,  # which there are, what they are, and their keys
    "locks.backlog": Takes.RELOAD,
    "locks.connection": Takes.RELOAD,
    "locks.linger": Takes.RELOAD,
    "locks.member": Takes.RELOAD,
    "locks.warm": Takes.RELOAD,
    **{f"locks.strategies.{name}": Takes.RELOAD for name in _HOW_IT_IS_OPERATED},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One key that says something else now. ``lock``: whose it is, where it is one lock's."""

    key: str
    lock: str = ""

    @property
    def takes(self) -> Takes:
        """By the table; what is in none of it is not changed while we run."""
        above = self.key
        while above and above not in TABLE:
            above = above.rpartition(".")[0]
        return TABLE.get(above, Takes.RESTART)

    def __str__(self) -> str:
        return f"{self.key} of {self.lock}" if self.lock else self.key


def changes(old: Config, new: Config) -> list[Change]:
    """What says something else; of secrets only where they are."""
    found = [Change(key=key) for key in _differing(old, new, "") if key != "locks"]
    if old.http.over_tcp != new.http.over_tcp:
        found.append(Change(key="http.tcp"))  # saying what is the default asks for TCP, too
    before, after = ({one.name: one for one in config.locks} for config in (old, new))
    if before.keys() != after.keys():
        found.append(Change(key="locks"))
    for name in before.keys() & after.keys():
        keys = _differing(before[name], after[name], "locks.")
        found += [Change(key=key, lock=name) for key in keys]
    return sorted(set(found), key=str)


def _differing(old: Section, new: Section, above: str) -> Iterator[str]:
    """The keys with other values; those within a table where both have one."""
    for name in type(old).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        both = isinstance(before, Section) and isinstance(after, Section)
        if both and not isinstance(before, SecretSource):
            yield from _differing(before, after, f"{above}{name}.")
        else:
            yield f"{above}{name}"
