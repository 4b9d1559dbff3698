"""One listener that passes on what it is told to several others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")


def everyone(kind: type[T], *listeners: T) -> T:
    """Tells each of ``listeners``, in their order, whatever a listener of this kind is told."""
    return cast("T", _Everyone(kind, listeners))


class _Everyone:
    def __init__(self, kind: type[Any], listeners: tuple[Any, ...]) -> None:
        self._kind = kind
        self._listeners = listeners

    def __getattr__(self, name: str) -> Callable[..., None]:
        getattr(self._kind, name)  # what nobody of this kind is told is a mistake
        told = [getattr(one, name) for one in self._listeners]

        def tell(*given: object, **named: object) -> None:
            for one in told:
                one(*given, **named)

        return tell
