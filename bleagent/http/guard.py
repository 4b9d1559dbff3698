"""Before the routes: who may come in, how often, and what every answer says.

Thin: ``rules`` and ``limits`` decide, this carries it out. It stands around the whole
application, so that no answer leaves without its headers, not even that of a fault.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bleagent.audit.chain import Audit
from bleagent.ports import Clock

from .auth import Unauthorized
from .callers import Callers
from .limits import Buckets, Limits, Rate, Strangers
from .peer import Peer, peer_of
from .problems import problem
from .rules import EXPOSED, Head, Refusal, Rules, head_of, in_address

log = structlog.get_logger()

ALWAYS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
"""Headers of every answer."""
AUDITED = Rate(burst=60, per_minute=6)
"""Failures of all clients that get a row of the audit: nobody pushes its older rows out with them.
Each row has the count of all."""

RENEW = "It stood in an address, which logs and histories keep: make a new one, revoke this one."


@dataclass(slots=True)
class Guard:
    """The ASGI application around ours."""

    app: ASGIApp
    rules: Rules
    callers: Callers
    clock: Clock
    limits: Limits = field(default_factory=Limits)
    audit: Audit = field(default_factory=Audit)
    strangers: Strangers = field(init=False)
    _told: Buckets = field(init=False)
    _audited: Buckets = field(init=False)
    _flagged: Buckets = field(init=False)

    def __post_init__(self) -> None:
        self.strangers = Strangers(self.limits)
        self._told = Buckets(self.limits.told)
        self._audited = Buckets(AUDITED)
        self._flagged = Buckets(Rate(burst=1, per_minute=1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        peer = peer_of(scope)
        head = head_of(scope, peer)
        refusal = self._throttled(head, peer) or self.rules.refuse(head)
        dressed = _dressing(send, closing=refusal is not None)
        if refusal is not None:
            if refusal.code == EXPOSED:
                self._flag(head, peer)
            if not self._told.take(peer.name, self.clock.now()):
                log.info("http.refused", code=refusal.code, status=refusal.status, client=peer.name)
            await answer_of(refusal)(scope, receive, dressed)
            return
        try:
            await self.app(scope, receive, dressed)
        except ClientDisconnect:
            log.debug("http.left", client=peer.name)  # in the midst of its own body

    def _throttled(self, head: Head, peer: Peer) -> Refusal | None:
        """A caller who is known passes, whatever others have done."""
        shown = head.one(b"authorization")
        try:
            self.callers.principal(shown, peer)
        except Unauthorized as error:
            if type(error) is not Unauthorized:
                return None  # a token that is good, only not now: the routes say why
        else:
            return None
        now = self.clock.now()
        if shown is None and not head.query:  # what is in an address may be a guess as well
            wait = self.strangers.came(peer.name, now)
        else:
            wait = self.strangers.was_wrong(peer.name, now)
            if self.strangers.to_tell(peer.name, now, held_up=wait > 0):
                failed = self.strangers.failed
                event = "auth.held_up" if wait else "auth.failed"
                log.warning(event, client=peer.name, failed_since_start=failed)
                if not self._audited.take("all", now):
                    self.audit.tell(event, via=peer.via, failed_since_start=failed)
        return too_many("requests without a valid token", wait) if wait else None

    def _flag(self, head: Head, peer: Peer) -> None:
        """Name the tokens that an address showed: whoever reads logs or histories has them now."""
        for name in {self.callers.owner_of(text) for text in in_address(head)} - {None}:
            if not self._flagged.take(str(name), self.clock.now()):
                log.warning("token.exposed", token=name, client=peer.name, advice=RENEW)
                self.audit.tell("token.exposed", principal=name, via=peer.via)


def too_many(what: str, wait: float) -> Refusal:
    """A caller has to wait for so many seconds."""
    seconds = math.ceil(wait)
    return Refusal(
        status=429, code="too-many-requests", detail=f"too many {what}",
        advice=f"Wait for {seconds} s (Retry-After).", retry_after=seconds,
    )  # fmt: skip


def answer_of(refusal: Refusal) -> Response:
    """The problem of a refusal."""
    answer: Response = problem(refusal.status, refusal.code, refusal.detail, refusal.advice)
    if refusal.retry_after is not None:
        answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer


def _dressing(send: Send, *, closing: bool) -> Send:
    """Send answers with the headers that each has; ``closing``: what else comes is not read."""
    names = {name for name, _ in ALWAYS}

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            others = [pair for pair in message.get("headers", []) if pair[0].lower() not in names]
            end = [(b"connection", b"close")] if closing else []
            message = {**message, "headers": [*others, *ALWAYS, *end]}
        await send(message)

    return dressed
