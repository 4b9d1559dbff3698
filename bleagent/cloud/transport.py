"""The one thing the client wants of an HTTP library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer, read whole. Header names are lower case. The body may be secret."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class HttpTransport(Protocol):
    """Sends exactly the bytes it is given, follows nothing, keeps nothing, asks no proxy."""

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes,
        time_limit: float,
    ) -> HttpAnswer:
        """One request, one answer, in at most ``time_limit`` seconds.

        Raises:
            CloudUnreachable: no answer; ``ambiguous`` unless it is certain that nothing of the
                request was sent.
            CloudTimeout: none in time; the same.
            BadAnswer: the answer is longer than ``codec.MAX_BODY``, or packed.
        """
        ...
