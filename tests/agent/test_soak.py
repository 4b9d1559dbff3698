"""A busy door for a day, with losses of cloud, radio and sinks: what there is stays as much."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.agent import soak
from tests.often import LONG, some

NOISE = 600
"""Blocks of memory that come and go from one look to the next."""
SEEDS = some(range(1, 6), 1)
RUSH = 10.0 if LONG else 1.0


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    soak.small(monkeypatch)
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", SEEDS)
def test_the_last_twelve_hours_need_no_more_than_the_first(tmp_path: Path, seed: int) -> None:
    first, last, gateway = soak.live(tmp_path / "state", rush=RUSH, seed=seed)
    for half in (first, last):
        assert half.openings > 50 * RUSH
    assert gateway.outcomes["confirmed"] > 0.6 * (first.openings + last.openings)
    assert gateway.moody.taken > 100
    assert gateway.moody.told > 100
    assert last.descriptors <= first.descriptors
    assert last.tasks <= first.tasks
    assert last.blocks <= first.blocks + NOISE + last.openings // 4  # not one for each opening
    assert last.resident <= first.resident + 2 * 2**20
    # As many openings may have come in the last hour as by chance; and one log fills to its end.
    often = 1.5 * max(1.0, last.openings / first.openings)
    grown = {name: (first.rows[name], n) for name, n in last.rows.items()
             if n > often * first.rows[name] + 5}  # fmt: skip
    assert grown == {}
    assert last.bytes <= often * first.bytes
