"""The HTTP trigger: its routes put together, and every failure answered as a problem.

No GET acts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from pydantic import ValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp

from bleagent.audit.chain import Audit
from bleagent.authority.sharing import Sharings
from bleagent.doors import Doors
from bleagent.errors import AgentError
from bleagent.health.lock_states import LockStates
from bleagent.health.readiness import Part
from bleagent.ports import Clock, Ledger
from bleagent.radio.airtime import RadioAir
from bleagent.sync.password_desk import SyncState
from bleagent.sync.upkeep_desk import UpkeepState

from .auth import Tokens, Unauthorized
from .callers import Callers, Users
from .docs import add_docs
from .events import EventParts, add_events
from .guard import Guard
from .health import add_health
from .limits import Limits
from .locks import LockParts, add_locks
from .metrics import Counted, MetricParts, add_metrics
from .operations import OperationParts, add_operations
from .page_files import add_page
from .problems import problem, problem_of
from .records import RecordParts, add_records
from .rules import Rules
from .sharing import TicketGate
from .tls import Tls
from .tokens import TokenParts, add_tokens

HELP = "/docs, /openapi.json and `bleagent openapi` have all requests, and what each takes."

NO_TELEMETRY: TelemetryConfig = {
    "tracing": False, "metrics": False, "logs": False, "operation_spans": False,
    "auto_configure": False,
}  # fmt: skip
"""FastAPI would export validation failures and exceptions, their values with them, wherever the
environment names a collector (safety G1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpParts:
    """What the trigger needs."""

    doors: Doors
    ledger: Ledger
    clock: Clock
    tokens: Tokens
    new_id: Callable[[], str]
    stalled: Callable[[], bool]
    """Whether this process stood still a moment ago."""
    air: Callable[[], RadioAir | None]
    """What the radio has heard and done; ``None`` for a virtual lock."""
    states: LockStates = field(default_factory=LockStates)
    """What locks have said of themselves."""
    syncs: Callable[[], Mapping[str, SyncState]] = dict
    """How bringing passwords stands, for the locks where they are brought."""
    upkeeps: Callable[[], Mapping[str, UpkeepState]] = dict
    """How the upkeep stands, for the locks where it is kept."""
    offline: Callable[[], Mapping[str, float]] = dict
    """Until when locks open without the cloud, by name, Unix seconds; as it was looked at last."""
    readiness: Callable[[], Mapping[str, Part]]
    """How each part is."""
    records: RecordParts | None = None
    """``None``: no records are kept, and who asks for them is told so."""
    users: Users = field(default_factory=Users)
    """Who needs no token at the Unix socket."""
    tls: Tls | None = None
    """``None``: TCP is spoken as it is, on loopback."""
    issued: TokenParts | None = None
    """``None``: there is the configuration's token only."""
    metrics: MetricParts | None = None
    """``None``: nothing is counted."""
    events: EventParts | None = None
    """``None``: nobody can follow what happens."""
    sharings: Sharings | None = None
    """``None``: no sharing ticket is good for anything."""
    limits: Limits = field(default_factory=Limits)
    audit: Audit = field(default_factory=Audit)

    def callers(self) -> Callers:
        """All who may call."""
        return Callers(self.tokens, self.users)


def guarded(
    parts: HttpParts,
    names: Iterable[str] = (),
    allowed_hosts: Callable[[], Iterable[str]] = tuple,
) -> ASGIApp:
    """The application behind its guard; ``names`` and addresses are those it is asked for by.

    ``allowed_hosts`` are others, as they are configured now.
    """
    callers = parts.callers()
    rules = Rules(
        hosts=names, allowed_hosts=allowed_hosts, is_token=callers.is_token,
        certified=tuple if parts.tls is None else parts.tls.names,
    )  # fmt: skip
    app = Guard(create_app(parts), rules, callers, parts.clock, parts.limits, parts.audit)
    return app if parts.metrics is None else Counted(app, parts.metrics.tally)


def create_app(parts: HttpParts) -> FastAPI:
    """The application. Its document is made by us (``openapi``), not by FastAPI."""
    app = FastAPI(
        title="bleagent", docs_url=None, redoc_url=None, openapi_url=None, telemetry=NO_TELEMETRY,
        redirect_slashes=False,  # a path is what it is
    )  # fmt: skip
    app.state.callers = parts.callers()
    _add_errors(app)
    add_locks(
        app,
        LockParts(
            doors=parts.doors, clock=parts.clock, states=parts.states, offline=parts.offline,
            air=parts.air, syncs=parts.syncs, upkeeps=parts.upkeeps,
        ),
    )  # fmt: skip
    add_records(app, parts.records)
    add_operations(
        app,
        OperationParts(
            doors=parts.doors, ledger=parts.ledger, clock=parts.clock, new_id=parts.new_id,
            stalled=parts.stalled, rate=parts.limits.operations,
            tickets=TicketGate(
                parts.sharings, parts.ledger, parts.clock, parts.limits.wrong_tickets
            ),
            audit=parts.audit,
        ),
    )  # fmt: skip
    add_health(app, parts.readiness, parts.clock)
    if parts.metrics is not None:
        add_metrics(app, parts.metrics)
    if parts.issued is not None:
        add_tokens(app, parts.issued)
    if parts.events is not None:
        add_events(app, parts.events, parts.records)
    add_docs(app)
    add_page(app)
    return app


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(AgentError)
    async def agent_error(_request: Request, error: AgentError) -> Response:
        if isinstance(error, Unauthorized):
            return problem(error.status, error.code, str(error), error.advice)
        return problem_of(error)

    @app.exception_handler(StarletteHTTPException)
    async def elsewhere(request: Request, error: StarletteHTTPException) -> Response:
        known = {404: "not-found", 405: "method-not-allowed"}
        code = known.get(error.status_code, "request-invalid")
        answer = problem(error.status_code, code, str(error.detail), HELP)
        if error.status_code == 405:
            answer.headers["Allow"] = ", ".join(sorted(_methods(app, request.url.path)))
        return answer

    @app.exception_handler(Exception)
    async def fault(_request: Request, _error: Exception) -> Response:
        # It is raised again and logged (type and places); the caller learns nothing of it.
        return problem(500, AgentError.code, "the agent failed", AgentError.advice)

    @app.exception_handler(ValidationError)
    async def unusable(_request: Request, error: ValidationError) -> Response:
        return _invalid([(_field(part["loc"]), part["msg"]) for part in error.errors()])

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        return _invalid([(_field(part["loc"]), part["msg"]) for part in error.errors()])


def _methods(app: FastAPI, path: str) -> set[str]:
    """All that a path has: the router names those of its first route only."""
    routes = [one for one in app.routes if isinstance(one, APIRoute)]
    return {name for one in routes if one.path_regex.match(path) for name in one.methods or ()}


def _field(place: tuple[int | str, ...]) -> str:
    """Its name, without the type that it might have been."""
    names = [str(part) for part in place if part not in ("str", "float")]
    return names[-1] if names else "body"


def _invalid(wrong: list[tuple[str, str]]) -> Response:
    """What is wrong with each field; never what stood there, which may be a secret."""
    named = "; ".join(sorted({f"{field}: {why[:1].lower()}{why[1:]}" for field, why in wrong}))
    return problem(
        422, "request-invalid", named,
        "Correct what is named; /docs has what each request takes.",
    )  # fmt: skip
