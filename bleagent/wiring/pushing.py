"""The composition root's part for subscriptions: who is told, by what, and how it goes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import anyio

from bleagent.adapters.sinks.own_addresses import own_addresses
from bleagent.adapters.sinks.signed_post import SignedPost, WebhookSettings
from bleagent.adapters.sqlite_store import SqliteStore
from bleagent.config.file import Config
from bleagent.config.secrets import Secrets
from bleagent.config.webhooks import WebhookConfig
from bleagent.events import OPERATIONS, Bell, OperationEvent
from bleagent.health.readiness import Look
from bleagent.http.events import lost_view, told_of
from bleagent.ports import Clock
from bleagent.records.record import Receipt
from bleagent.webhooks import Follower, Lost, Tell, WebhookState


class Pushing:
    """A follower for each ``[webhooks.NAME]``."""

    def __init__(
        self, config: Config, found: Secrets, store: SqliteStore, clock: Clock, bell: Bell
    ) -> None:
        self._newest = Look(store.operation_events.newest, clock)
        self._open_posts = AsyncExitStack()
        self._followers: list[Follower] = []
        for name, one in config.webhooks.items():
            settings = WebhookSettings(
                url=one.url, secret=found.webhooks[name], allow_private=one.allow_private,
                own=own_addresses(),
            )  # fmt: skip
            post = SignedPost(settings, clock)
            self._open_posts.push_async_callback(post.aclose)
            follower = Follower(
                name, wants=wanted_by(one), events=store.operation_events, book=store.webhooks,
                tell=telling(post), bell=bell, clock=clock, chance=random.random,
            )  # fmt: skip
            self._followers.append(follower)

    def states(self) -> list[WebhookState]:
        """Each as it is now, but for what waits, which is looked at now and then."""
        return [one.state(self._newest.found) for one in self._followers]

    async def run(self) -> None:
        """Tell, until cancelled; nothing where nobody subscribed."""
        if not self._followers:
            return
        async with self._open_posts, anyio.create_task_group() as tasks:
            tasks.start_soon(self._newest.run)
            for follower in self._followers:
                tasks.start_soon(follower.run)


def wanted_by(one: WebhookConfig) -> Callable[[OperationEvent], bool]:
    """Whether a subscription is about an event."""

    def wants(event: OperationEvent) -> bool:
        kind = "operation" if event.evidence is None else "evidence"
        return kind in one.events and (one.locks is None or event.record.lock in one.locks)

    return wants


def telling(post: SignedPost) -> Tell:
    """Sends what ``GET /v1/events`` says."""

    async def tell(name: str, event: OperationEvent | Lost) -> Receipt:
        kind, view = _told(event)
        return await post(name, {"type": kind, kind: view})

    return tell


def _told(event: OperationEvent | Lost) -> tuple[str, Mapping[str, Any]]:
    if isinstance(event, Lost):
        return "lost", lost_view(OPERATIONS, event.count, event.at)
    return told_of(event)
