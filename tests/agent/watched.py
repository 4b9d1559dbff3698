"""The application before a virtual door, counted and looked at, in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC
from itertools import count
from typing import Any, TypeVar

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bleagent.authority.issued_tokens import IssuedTokens
from bleagent.cloud.client import CloudState
from bleagent.doors import Doors, Listener
from bleagent.everyone import everyone
from bleagent.health.metrics import Tally
from bleagent.health.readiness import Look, Readiness, Watched
from bleagent.health.watches import CloudWatch, RecordWatch
from bleagent.http.app import HttpParts, guarded
from bleagent.http.auth import Tokens
from bleagent.http.metrics import MetricParts
from bleagent.simulator.memory_tokens import MemoryTokens
from protocol import Secret
from tests.agent.world import World, rehearse

T = TypeVar("T")

MASTER = "CANARY-token-0123456789"
Sample = tuple[str, frozenset[tuple[str, str]]]


async def well() -> None:
    """What a store answers in which an operation could begin."""


async def at_once(work: Callable[[T], Any], found: T) -> Any:
    """As in a thread: virtual time knows none."""
    return work(found)


def watched(clock: Any, shelf: Any, **more: Any) -> Watched:
    """Everything as it should be, but for what is given."""
    given: dict[str, Any] = {
        "store": well, "damaged": False, "without_records": None, "most_waiting": 90,
        "air": lambda: None, "nobody": lambda: None, "cloud": CloudWatch(clock.now),
        "records": RecordWatch(clock.now), "audit": lambda: None,
    } | more  # fmt: skip
    given["store"] = Look(given["store"], clock)
    return Watched(clock=clock, shelf=shelf, **given)


class Gateway:
    """A world's door behind the guard."""

    def __init__(self, world: World, **more: Any) -> None:
        self.world = world
        self.tally = Tally()
        self.told = watched(world.clock, more.pop("shelf", world.book), **more)
        self.readiness = Readiness(self.told)
        draws = count(1)
        self.issued = IssuedTokens(
            MemoryTokens(), world.clock, lambda size: next(draws).to_bytes(size, "big"), zone=UTC
        )
        tokens = Tokens(Secret(MASTER), self.issued)
        doors = world.doors
        world.doors = Doors(
            doors._doors, doors._ports, doors._supervisor, world.tasks,
            everyone(Listener, Listener(), self.tally), allowed=tokens.require_good,
        )  # fmt: skip

        metrics = MetricParts(
            tally=self.tally, readiness=self.readiness, doors=world.doors, clock=world.clock,
            air=self.told.air, version="1.2.3", in_thread=at_once,
            cloud=lambda: CloudState(token=True, quota_pause=30.0),
            webhooks=self.told.webhooks,
        )  # fmt: skip
        parts = HttpParts(
            doors=world.doors, ledger=world.ledger, clock=world.clock, tokens=tokens,
            new_id=lambda: f"op-{next(world.ids)}", stalled=lambda: False, air=self.told.air,
            readiness=self.readiness.parts, metrics=metrics,
        )  # fmt: skip
        self.app = guarded(parts)

    async def ask(
        self, url: str, token: str | None = MASTER, *, method: str = "GET", **headers: str
    ) -> httpx.Response:
        """One request."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://localhost"
        ) as client:
            return await client.request(method, url, headers=headers)

    async def token(self, *scopes: str) -> str:
        """A new one with these scopes."""
        _, shown = await self.issued.create(
            label="", scopes=frozenset(scopes), expires=None, guest=None
        )
        return shown.text.reveal().decode()

    async def scrape(self) -> dict[Sample, float]:
        """All samples, as the library's own parser reads them."""
        answer = await self.ask("/metrics")
        assert answer.status_code == 200, answer.text
        return samples(answer.text)


def samples(text: str) -> dict[Sample, float]:
    """By name and labels."""
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def sample(name: str, **labels: str) -> Sample:
    """What one is found by."""
    return f"bleagent_{name}", frozenset(labels.items())


def at_the_gateway(story: Callable[[Gateway], Awaitable[None]], **more: Any) -> None:
    """Run a story in virtual time."""

    async def main(world: World) -> None:
        await story(Gateway(world, **more))

    rehearse(main)
