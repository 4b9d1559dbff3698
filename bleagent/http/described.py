"""A row of the table of requests (``api``), and what rows are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from .operations import ASYNC

Json = dict[str, Any]

ANYBODY, ANY_CALLER = None, ""
"""For ``Row.scope``: no token is needed; any is good."""

HEAD = (
    "not-http", "header-repeated", "header-invalid", "length-ambiguous", "path-invalid",
    "credential-in-url", "origin-foreign", "caller-unknown", "too-slow", "body-too-large",
    "host-not-allowed", "too-many-requests", "head-too-large", "agent-error",
)  # fmt: skip
"""Codes that any request can be answered with."""
CALLER = ("unauthorized", "date-unknown", "outside-window")
"""Where a token is needed."""
BODY = ("content-type-unusable", "request-invalid")
STORE = ("store-failed", "store-full", "store-damaged")
SHELF = (*STORE, "records-not-kept")
CLOUD = (
    "cloud-argument", "cloud-bad-answer", "cloud-clock", "cloud-device-offline", "cloud-down",
    "cloud-error", "cloud-fault", "cloud-not-supported", "cloud-permission", "cloud-quota",
    "cloud-rate-limited", "cloud-refused", "cloud-signature", "cloud-timeout", "cloud-token",
    "cloud-unknown", "cloud-unreachable",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer that is no problem. ``model``: ``None`` where it is empty, or is ``kind``."""

    words: str
    model: type[BaseModel] | None = None
    example: Any = None
    headers: tuple[str, ...] = ()
    """Of ``HEADERS``."""
    kind: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request. ``scope``: what its token must have, ``{lock}`` standing for the lock."""

    method: str
    path: str
    group: str
    title: str
    answers: Mapping[int, Answer]
    words: str = ""
    scope: str | None = ANYBODY
    parameters: tuple[Json, ...] = ()
    body: type[BaseModel] | None = None
    body_example: Any = None
    body_needed: bool = False
    codes: tuple[str, ...] = ()
    """Beside those of ``HEAD``, and of ``CALLER`` and ``BODY`` where they apply."""


HEADERS: dict[str, Json] = {
    "Location": {
        "description": "Where the operation can be looked at.",
        "schema": {"type": "string", "pattern": "^/v1/operations/"},
    },
    "Idempotency-Replayed": {
        "description": "The key was known: nothing was begun by this request.",
        "schema": {"const": "true"},
    },
    "Preference-Applied": {
        "description": "The caller did not want to wait.", "schema": {"const": ASYNC},
    },
    "Retry-After": {
        "description": "Seconds.", "required": True, "schema": {"type": "integer", "minimum": 1},
    },
}  # fmt: skip
OPERATED = ("Location", "Idempotency-Replayed", "Preference-Applied")


def parameter(place: str, name: str, schema: Json, words: str, **more: Any) -> Json:
    """One of a path, a query or a header."""
    needed = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, "description": words, "schema": schema, **needed, **more}


def query(name: str, schema: Json, words: str) -> Json:
    """One of a query."""
    return parameter("query", name, schema, words)
