"""Lists that come page by page, read to their end or to a bound.

How a page says whether another one follows is told differently everywhere: ``has_more`` (also
``hasmore``), ``total``, or nothing. Source: reference cloud §3.3 and §8.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from . import fields
from .errors import BadAnswer

PAGE_SIZE = 50
MAX_PAGES = 100

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pages:
    """The rows of all pages; ``cut`` where the bound came before the end."""

    rows: list[Row]
    cut: bool = False

    @classmethod
    async def of(cls, ask: Callable[[int], Awaitable[object]], what: str) -> Self:
        """Ask for page 1, 2, ... until there are no more, or ``MAX_PAGES`` have come.

        Raises:
            BadAnswer: something that is not a page.
        """
        rows: list[Row] = []
        before: list[Row] | None = None
        for number in range(1, MAX_PAGES + 1):
            page = _Page.read(await ask(number), what)
            if page.rows == before:  # it knows no pages, and says the same again
                return cls(rows)
            rows += page.rows
            if not page.goes_on(len(rows)):
                return cls(rows)
            before = page.rows
        return cls(rows, cut=True)


@dataclass(frozen=True, slots=True)
class _Page:
    rows: list[Row]
    has_more: bool | None
    total: int | None

    @classmethod
    def read(cls, result: object, what: str) -> Self:
        """A page: an object with its rows inside, or the rows alone."""
        if result is None:
            return cls([], has_more=None, total=None)
        if isinstance(result, list):
            return cls(_rows(result, what), has_more=None, total=None)
        found = fields.mapping(result, what)
        more, total = fields.find(found, "has_more"), fields.find(found, "total")
        inside = fields.find(found, "records", "logs", "list", "datas")
        if inside is None and more is None and total is None:
            raise BadAnswer(f"{what} is not a page")
        return cls(
            _rows(fields.listed(inside), what),
            has_more=None if more is None else fields.boolean(more, f"{what}.has_more"),
            total=None if total is None else fields.number(total, f"{what}.total"),
        )

    def goes_on(self, so_far: int) -> bool:
        """Whether there may be another page, after this one and ``so_far`` rows altogether."""
        if not self.rows:
            return False
        if self.has_more is not None:
            return self.has_more
        return len(self.rows) >= PAGE_SIZE or (self.total is not None and so_far < self.total)


def _rows(found: list[Any], what: str) -> list[Row]:
    return [fields.mapping(row, f"an entry of {what}") for row in found]
