"""The vendor's cloud as a real HTTP server on loopback, as strict and as odd as the real one.

It keeps tokens and locks, checks signatures, seals real instructions, and fails on demand. It
is driven by anyone's client: ``POST /faas`` with ``{"action", "params"}`` and the OpenAPI paths
that exist.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream

from protocol import Secret

from .cloud_actions import Actions, CloudLock, RandomCheck
from .cloud_checks import Failure, Gatekeeper, Received, TokenStore
from .cloud_faults import TOKEN, Fault, FaultKind, FaultPlan
from .cloud_http import Reply, serve_connection
from .cloud_members import MemberDesk
from .cloud_passwords import PasswordDesk
from .cloud_paths import ACTION_PATHS, read_request
from .cloud_quirks import CloudQuirk, crooked, swapped
from .cloud_records import RecordDesk
from .cloud_samples import PANEL_PATH
from .cloud_sharing import SharingDesk

CLIENT_ID = "virtual0cloud0client"
CLIENT_SECRET = Secret("virtual0cloud0secret0virtual0000")
_OPEN_FIELDS = frozenset(
    {
        "device_id",
        "device_ids",
        "bluetooth_sn",
        "open",
        "bluetooth_major_version",
        "msg_id",
        "page_no",
        "page_size",
        "start_time",
        "end_time",
    }
)


class Envelope(StrEnum):
    """In which wrapping actions are answered; OpenAPI paths always have the first."""

    OPENAPI = "openapi"
    CLOUD_FUNCTION = "cloud function"
    BARE = "bare"
    APP = "app"


class ActionAuth(StrEnum):
    """Who may call the action endpoint."""

    FAAS = "faas"
    OPENAPI = "openapi"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """One request: its parameters with everything masked that may be secret, and its end."""

    action: str
    params: Mapping[str, Any]
    ending: str


class VirtualCloud:
    """The virtual cloud; ``async with cloud.serve() as base_url`` runs it.

    Args:
        unix: its time.
        sleep: how a slow answer waits.
        envelope: wrapping of action answers.
        action_auth: who may call the action endpoint.
        actions: the actions and their strategies.
        quirks: how it contradicts its own documents, in every answer but those with tokens.
        tell: is told of each call, as ``log`` has it.

    ``faults`` plans what goes wrong, ``calls`` counts requests by action and ``done`` those that
    were carried out, ``log`` has them in order, ``tokens`` the token.
    """

    def __init__(
        self,
        *,
        unix: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        envelope: Envelope = Envelope.OPENAPI,
        action_auth: ActionAuth = ActionAuth.FAAS,
        random_check: RandomCheck = RandomCheck.ISSUED_CODE,
        actions: Actions | None = None,
        quirks: Collection[CloudQuirk] = (),
        tell: Callable[[LoggedCall], None] = lambda _call: None,
    ) -> None:
        self.client_id, self.secret = CLIENT_ID, CLIENT_SECRET
        self.envelope, self.action_auth = envelope, action_auth
        self.actions = actions or Actions(unix, random_check=random_check)
        self.actions.passwords.secret = self.secret
        self.tokens = TokenStore(unix)
        self.faults = FaultPlan()
        self.calls: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.log: list[LoggedCall] = []
        self.base_url = ""
        self._unix = unix
        self._sleep = sleep
        self._tell = tell
        self.quirks = quirks
        self._gate = Gatekeeper(self.client_id, self.secret, self.tokens, unix)

    def register(self, lock: CloudLock) -> CloudLock:
        """Link a lock to the project."""
        self.actions.locks[lock.device_id] = lock
        return lock

    @property
    def records(self) -> RecordDesk:
        """What was reported, and what is told about records and members."""
        return self.actions.records

    @property
    def sharing(self) -> SharingDesk:
        """What was shared."""
        return self.actions.sharing

    @property
    def passwords(self) -> PasswordDesk:
        """Temporary passwords, and how far each has come."""
        return self.actions.passwords

    @property
    def members(self) -> MemberDesk:
        """Who opens with what, and what was opened from afar."""
        return self.actions.members

    @asynccontextmanager
    async def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Listen, and give the base URL; leaving stops it and cuts what is under way."""
        listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
        failed: Exception | None = None
        async with listener, anyio.create_task_group() as tasks:
            bound = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django's
            self.base_url = f"http://{host}:{bound}"
            tasks.start_soon(listener.serve, self._connection)
            try:
                yield self.base_url
            except Exception as error:  # noqa: BLE001 - raised below, not inside a group
                failed = error
            tasks.cancel_scope.cancel()
        if failed is not None:
            raise failed

    async def _connection(self, stream: SocketStream) -> None:
        await serve_connection(stream, self._handle)

    # -- one request

    async def _handle(self, request: Received) -> Reply:
        try:
            action, params = read_request(request)
        except Failure as failure:
            return Reply.of_json(self._failed(failure, Envelope.OPENAPI))
        self.calls[action] += 1
        fault = self.faults.meet(action)
        if fault is not None:
            early = await self._early(fault)
            if early is not None:
                self._note(action, params, fault.kind)
                return early
        envelope = self._envelope(request.path)
        try:
            result = self._carry_out(request, action, params, fault)
        except Failure as failure:
            self._note(action, params, str(failure.code))
            return Reply.of_json(self._failed(failure, envelope))
        self.done[action] += 1
        self._note(action, params, fault.kind if fault else "ok")
        if action != TOKEN:
            result = crooked(self.quirks, result)
        return _late(fault, swapped(self.quirks, action, self._wrapped(result, envelope)))

    async def _early(self, fault: Fault) -> Reply | None:
        """What a fault does before anything is looked at."""
        match fault.kind:
            case FaultKind.CUT_BEFORE:
                return Reply.nothing()
            case FaultKind.HTTP_ERROR:
                return Reply.page(fault.status)
            case FaultKind.SLOW:
                await self._sleep(fault.seconds)
            case FaultKind.TOKEN_DEAD:
                self.tokens.kill()
        return None

    def _carry_out(
        self, request: Received, action: str, params: Mapping[str, Any], fault: Fault | None
    ) -> object:
        if fault is not None and fault.kind is FaultKind.CLOCK_SKEW:
            raise Failure(1013, "request time is invalid")
        self._check(request, action, params)
        if fault is not None and fault.kind is FaultKind.CODE:
            raise Failure(fault.code, fault.msg)
        if fault is not None and fault.kind is FaultKind.TOKEN_DEAD:
            raise Failure(1010, "token invalid")  # where no token is asked for
        if action == TOKEN:
            refresh = params.get("refresh_token")
            return self.tokens.renew(refresh) if refresh else self.tokens.issue()
        return self.actions.run(action, params, fault)

    def _check(self, request: Received, action: str, params: Mapping[str, Any]) -> None:
        if request.path == PANEL_PATH:
            return  # whoever reaches the relay may ask it
        if request.path not in ACTION_PATHS:
            self._gate.openapi(request, token=action != TOKEN)
        elif self.action_auth is ActionAuth.OPENAPI:
            self._gate.openapi(request)
        elif self.action_auth is ActionAuth.FAAS:
            self._gate.action(request, params)

    # -- answers

    def _envelope(self, path: str) -> Envelope:
        if path in ACTION_PATHS:
            return self.envelope
        return Envelope.APP if path == PANEL_PATH else Envelope.OPENAPI

    def _t(self) -> int:
        return round(self._unix() * 1000)

    def _wrapped(self, result: object, envelope: Envelope) -> object:
        match envelope:
            case Envelope.OPENAPI:
                return {"success": True, "t": self._t(), "result": result, "tid": self._tid()}
            case Envelope.CLOUD_FUNCTION:
                return {"success": True, "data": result, "t": self._t()}
            case Envelope.BARE:
                return result
            case Envelope.APP:
                return {"result": result, "t": self._t(), "success": True, "status": "ok"}

    def _failed(self, failure: Failure, envelope: Envelope) -> object:
        code, msg = failure.code, failure.msg
        match envelope:
            case Envelope.OPENAPI:
                return {
                    "success": False, "code": code, "msg": msg, "t": self._t(), "tid": self._tid()
                }  # fmt: skip
            case Envelope.CLOUD_FUNCTION:
                # What was thrown there has its code as text.
                shown = str(code) if code == 500 else code
                return {"success": False, "errorCode": shown, "errorMsg": msg, "data": []}
            case Envelope.BARE:
                return []
            case Envelope.APP:
                return {
                    "errorCode": str(code), "errorMsg": msg, "success": False, "status": "error"
                }  # fmt: skip

    def _tid(self) -> str:
        return f"virtual{sum(self.calls.values()):08d}"

    def _note(self, action: str, params: Mapping[str, Any], ending: str) -> None:
        shown = {name: value if name in _OPEN_FIELDS else "***" for name, value in params.items()}
        self.log.append(LoggedCall(action, shown, str(ending)))
        self._tell(self.log[-1])


def _late(fault: Fault | None, answer: object) -> Reply:
    """What a fault does to the answer of something that was carried out."""
    match fault.kind if fault else None:
        case FaultKind.CUT_BODY:
            return Reply.of_json(answer, sent=0.5)
        case FaultKind.CUT_AFTER:
            return Reply.nothing()
        case FaultKind.NOT_JSON:
            return Reply.page(200)
        case _:
            return Reply.of_json(answer)
