"""From what happened to how an operation ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocol import DpMap, DpName, InstructionError, LocalProtocolError
from protocol.verdict import Ruling, Verdict

from .check_code import CheckCodeRefused
from .errors import AgentError, CloudError
from .model import Action, Ending, Outcome

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


def contradicts(action: Action, ending: Ending, evidence: Mapping[str, Any], dps: DpMap) -> bool:
    """Whether what was heard after an outcome does not fit it (safety C4).

    The bolt (True is open) after a confirmed operation or one that nothing moved; an alarm after
    any. It is for people to look at: the outcome stays what the lock said.
    """
    if evidence.get("alarm"):
        return True
    if DpName.BOLT not in dps or evidence.get("dp") != dps.number(DpName.BOLT):
        return False
    is_open, wanted_open = bool(evidence.get("value")), action is Action.UNLOCK
    if ending.outcome is Outcome.CONFIRMED:
        return is_open is not wanted_open
    return ending.moved == "no" and is_open is wanted_open
