"""Timers by name, as the firmware has them: starting one that already runs changes nothing."""

from __future__ import annotations

SLACK = 1e-6
"""Seconds by which sums of times may miss each other."""


class Timers:
    """A handful of single-shot timers. Times are the injected clock's seconds."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def start(self, name: str, due: float) -> None:
        """Start one, unless it runs already (capture ``lock-first-unlock-2``)."""
        self._due.setdefault(name, due)

    def restart(self, name: str, due: float) -> None:
        """Start one anew."""
        self._due[name] = due

    def stop(self, name: str) -> None:
        """Stop one; nothing happens if it does not run."""
        self._due.pop(name, None)

    def clear(self) -> None:
        """Stop all."""
        self._due.clear()

    def __contains__(self, name: str) -> bool:
        return name in self._due

    def next(self) -> float | None:
        """When the first one is due."""
        return min(self._due.values(), default=None)

    def pop(self) -> tuple[str, float]:
        """Take the first one off; those due together go in the order they were started."""
        name = min(self._due, key=lambda one: self._due[one])
        return name, self._due.pop(name)
