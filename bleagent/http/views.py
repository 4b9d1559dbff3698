"""Operations as JSON: what happened, in the words of the outcome, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bleagent.errors import AgentError
from bleagent.model import OperationRecord, Outcome
from bleagent.rehearsal import Rehearsed

STATUS_OF = {
    Outcome.CONFIRMED: 200,
    Outcome.REFUSED: 409,
    Outcome.UNREACHED: 503,
    Outcome.UNCONFIRMED: 504,
}


def status_of(record: OperationRecord) -> int:
    """The HTTP status that tells an outcome; 202 while there is none."""
    return 202 if record.ending is None else STATUS_OF[record.ending.outcome]


def rehearsal_view(lock: str, found: Rehearsed) -> dict[str, Any]:
    """How far an opening would have come; the words of a protocol error are not for callers."""
    view: dict[str, Any] = {
        "lock": lock,
        "ready": found.failure is None,
        "code": found.code,
        "steps": {step: round(seconds, 4) for step, seconds in found.steps.items()},
        "gives_code": found.gives_code,
    }
    if isinstance(found.failure, AgentError):
        view |= {"detail": str(found.failure), "advice": found.failure.advice}
    return view


def operation_view(
    record: OperationRecord, steps: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """One operation; ``steps`` are those of one that runs, as far as it has come."""
    view: dict[str, Any] = {
        "id": record.id,
        "lock": record.lock,
        "action": record.action,
        "phase": record.phase,
        "requested_at": _iso(record.requested_at),
    }
    ending = record.ending
    if ending is None:
        return view | {"outcome": None, "steps": _steps(steps or {})}
    view |= {
        "outcome": ending.outcome,
        "code": ending.code,
        "by": ending.by,
        "result": ending.result,
        "moved": ending.moved,
        "retryable": ending.retryable,
        "late": ending.late,
        "offline": ending.offline,
        "evidence": list(ending.evidence),
        "steps": _steps(ending.steps),
    }
    if record.finished_at is not None:
        view["finished_at"] = _iso(record.finished_at)
    return view


def _steps(steps: Mapping[str, float]) -> dict[str, float]:
    return {step: round(seconds, 4) for step, seconds in steps.items()}


def _iso(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds")
