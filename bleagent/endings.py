"""From what happened to how an operation ends."""

from __future__ import annotations

from typing import Any

from protocol import InstructionError, LocalProtocolError
from protocol import events as ev
from protocol.verdict import Ruling, Verdict

from .check_code import CheckCodeRefused
from .errors import AgentError, CloudError
from .lock_client import LockClient
from .model import Ending, Outcome

Failure = AgentError | InstructionError | LocalProtocolError
"""What may go wrong before the commit point."""


def ending_of(error: Failure) -> Ending:
    """How an operation ends that failed before its commit point."""
    match error:
        case CheckCodeRefused():
            code = f"check-code-{error.result}"
            return Ending(outcome=Outcome.REFUSED, code=code, by="lock", result=error.result)
        case CloudError() if error.refusal:
            return Ending(outcome=Outcome.REFUSED, code=error.code, by="cloud")
        case InstructionError():
            field = error.field.replace(" ", "-")
            return Ending(outcome=Outcome.UNREACHED, code=f"instruction-rejected-{field}")
        case AgentError():
            return Ending(outcome=Outcome.UNREACHED, code=error.code)
        case _:
            return Ending(outcome=Outcome.UNREACHED, code="protocol-misuse")


def ending_by(verdict: Verdict) -> Ending:
    """How an operation ends about which the lock has spoken."""
    if verdict.ruling is Ruling.CONFIRMED:
        return Ending(
            outcome=Outcome.CONFIRMED, code="ok", by="lock", result=verdict.code, moved="yes"
        )
    code = "not-understood" if verdict.structural else f"lock-result-{verdict.code}"
    return Ending(
        outcome=Outcome.REFUSED, code=code, by="lock", result=verdict.code, moved=verdict.moved
    )


def evidence(client: LockClient) -> tuple[dict[str, Any], ...]:
    """What else the lock said: kept, never an upgrade of silence (C2)."""
    found: list[dict[str, Any]] = []
    while (event := client.take(ev.Reported, lambda one: one.report.time is None)) is not None:
        for datapoint in event.report.datapoints:
            value = datapoint.value
            if isinstance(value, bool | int):
                found.append({"dp": datapoint.id, "value": value})
    return tuple(found)
