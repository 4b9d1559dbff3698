"""A second bound around calls to the Bluetooth stack, for the day when its own does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from bleagent.errors import RadioBusy

CALL_BOUND = 15.0
"""Seconds for one call about adapters or devices."""


@contextmanager
def bounded(doing: str, seconds: float) -> Iterator[None]:
    """A call that must come back.

    Raises:
        RadioBusy: it did not, within so many seconds.
    """
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError:
        raise RadioBusy(f"{doing} took more than {seconds:.0f} s") from None
