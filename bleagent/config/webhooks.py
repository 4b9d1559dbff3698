"""Sections [webhooks.NAME]: who is told what becomes of operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from .base import Section, mismatch
from .secret_source import SecretSource
from .web import require_sealed, web_url

MOST = 16
"""Subscriptions: each has a connection, and something in memory, of its own."""


class WebhookEvent(StrEnum):
    """What one can be told of."""

    OPERATION = "operation"  # one ended
    EVIDENCE = "evidence"  # the lock said more about it


def _event(name: str) -> str:
    if name == "record":
        raise mismatch(
            '"record"', 'operation or evidence; records go to a [[sinks]] with type = "webhook"'
        )
    return WebhookEvent(name).value


class WebhookConfig(Section):
    """One subscription; its name is the key that it stands under."""

    url: Annotated[str, AfterValidator(web_url)] = Field(
        description="an https:// address without user or fragment"
    )
    secret: SecretSource = Field(description='{ credential = "NAME" } or { file = "PATH" }')
    events: tuple[Annotated[str, AfterValidator(_event)], ...] = Field(
        default=tuple(WebhookEvent), description="an array of operation and evidence"
    )
    locks: tuple[str, ...] | None = Field(
        default=None, description="an array of names of locks; without it, all"
    )
    allow_private: bool = Field(
        default=False, description="true or false: addresses of the home network, and http://"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for key in ("events", "locks"):
            if getattr(self, key) == ():
                raise mismatch(f"an empty array {key}", "something in it, or no such key")
        require_sealed(self.url, allow_private=self.allow_private)
        return self


def check_webhooks(webhooks: Mapping[str, WebhookConfig], locks: Iterable[str]) -> None:
    """Whether there is what they are about, and not too many of them.

    Raises PydanticCustomError.
    """
    if len(webhooks) > MOST:
        raise mismatch(f"{len(webhooks)} webhooks", f"at most {MOST}")
    known = list(locks)
    for name, one in webhooks.items():
        for lock in one.locks or ():
            if lock not in known:
                raise mismatch(f'webhooks.{name} of a lock "{lock}"', ", ".join(known))
