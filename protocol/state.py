"""The states of one connection, for both roles.

Rule: everything that decides *which step is legal when* is in these tables; the roles only
walk them. An illegal step raises and changes nothing. ``protocol/README.md`` shows the same
tables, and a test holds the two together.
"""

from __future__ import annotations

from enum import StrEnum

from .errors import LocalProtocolError


class State(StrEnum):
    """Where a connection is. Keys come with device information, commands with pairing."""

    IDLE = "idle"  # not connected
    CONNECTED = "connected"
    INFO_ASKED = "info-asked"
    KEYED = "keyed"  # device information known, session key computable
    PAIR_ASKED = "pair-asked"
    READY = "ready"
    REFUSED = "refused"  # the lock said no to pairing and is about to hang up


class Step(StrEnum):
    """What happens to a connection."""

    CONNECT = "connect"
    ASK_INFO = "ask-info"
    INFO = "info"
    ASK_PAIR = "ask-pair"
    PAIRED = "paired"
    PAIR_REFUSED = "pair-refused"
    COMMAND = "command"
    ANOMALY_UNBIND = "anomaly-unbind"
    DISCONNECT = "disconnect"


Transitions = dict[State, dict[Step, State]]

CENTRAL: Transitions = {
    State.IDLE: {Step.CONNECT: State.CONNECTED, Step.DISCONNECT: State.IDLE},
    State.CONNECTED: {Step.ASK_INFO: State.INFO_ASKED, Step.DISCONNECT: State.IDLE},
    State.INFO_ASKED: {Step.INFO: State.KEYED, Step.DISCONNECT: State.IDLE},
    State.KEYED: {
        Step.ASK_INFO: State.INFO_ASKED,  # once more: a new srand
        Step.ASK_PAIR: State.PAIR_ASKED,
        Step.ANOMALY_UNBIND: State.KEYED,
        Step.DISCONNECT: State.IDLE,
    },
    State.PAIR_ASKED: {
        Step.PAIRED: State.READY,
        Step.PAIR_REFUSED: State.REFUSED,
        Step.DISCONNECT: State.IDLE,
    },
    State.READY: {Step.COMMAND: State.READY, Step.DISCONNECT: State.IDLE},
    State.REFUSED: {Step.DISCONNECT: State.IDLE},
}

PERIPHERAL: Transitions = {
    State.IDLE: {Step.CONNECT: State.CONNECTED, Step.DISCONNECT: State.IDLE},
    State.CONNECTED: {Step.ASK_INFO: State.KEYED, Step.DISCONNECT: State.IDLE},
    State.KEYED: {
        Step.ASK_INFO: State.KEYED,
        Step.ASK_PAIR: State.KEYED,
        Step.PAIRED: State.READY,
        Step.DISCONNECT: State.IDLE,
    },
    State.READY: {
        # The lock answers again, with a new srand, and stays paired.
        Step.ASK_INFO: State.READY,
        Step.ASK_PAIR: State.READY,
        Step.PAIRED: State.READY,
        Step.COMMAND: State.READY,
        Step.DISCONNECT: State.IDLE,
    },
}


def allowed(table: Transitions, state: State, step: Step) -> bool:
    """Whether a step is legal now."""
    return step in table.get(state, {})


def advance(table: Transitions, state: State, step: Step) -> State:
    """The state after a step.

    Raises:
        LocalProtocolError: the step is not legal in this state.
    """
    try:
        return table[state][step]
    except KeyError:
        legal = ", ".join(table.get(state, {})) or "nothing"
        raise LocalProtocolError(f"{step} is not legal while {state} (legal: {legal})") from None
