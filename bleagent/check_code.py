"""The issued check code: what it is, and giving it to a lock that does not have it yet.

Written only when the cloud says that it must be distributed, only as it was issued, and never
as a deletion (reference: safety C6).
"""

from __future__ import annotations

from protocol import Datapoint, DpName, RemoteProtocolError, Secret
from protocol import events as ev
from protocol.lock import CheckCodeOperation, CheckCodeReply, CheckCodeResult, CheckCodeSet

from .errors import AgentError, LinkError
from .lock_client import LockClient
from .model import IssuedConfig, IssuedInstruction
from .policy import CodeSource, Policy

US = 0xFFFF
"""Central id of phones, gateways and the cloud."""
CODE_SIZE = 8
REPLY_TIMEOUT = 3.0
"""Seconds for the lock's reply; recorded locks answer at once."""


class IssuedConfigUnusable(AgentError):
    """The cloud's configuration lacks what an opening needs, or contradicts itself."""

    code = "issued-config-unusable"
    advice = "Open the lock once with the vendor's app, so that the cloud knows its code."


class CheckCodeRefused(AgentError):
    """The lock refused the check code."""

    code = "check-code-refused"
    advice = "Open the lock once with the vendor's app; another app may own its code."

    def __init__(self, result: int) -> None:
        self.result = result
        super().__init__(f"the lock answered {result} to the check code")


def issued(config: IssuedConfig | None) -> IssuedInstruction:
    """The check-code part of the configuration.

    Raises:
        IssuedConfigUnusable: there is none.
    """
    if config is None or config.lock_random is None:
        raise IssuedConfigUnusable("the cloud issued no check code for this lock")
    return config.lock_random


def as_written(part: IssuedInstruction, source: CodeSource) -> CheckCodeSet:
    """The datapoint that gives the lock its code.

    Raises:
        IssuedConfigUnusable: not issued, or not of its form: another central, a deletion.
    """
    if source is CodeSource.WAKE_UP_INS and part.wake_up_ins is not None:
        try:
            found = CheckCodeSet.from_bytes(part.wake_up_ins.reveal())
        except RemoteProtocolError as error:
            raise IssuedConfigUnusable(f"wake_up_ins: {error}") from error
        if (found.central, found.new_central) != (US, US):
            raise IssuedConfigUnusable("wake_up_ins is for another central")
        if found.operation != CheckCodeOperation.ADD:
            raise IssuedConfigUnusable("wake_up_ins would delete a check code")
        return found
    if part.ins is None or len(part.ins) != CODE_SIZE or part.peripheral is None:
        raise IssuedConfigUnusable("neither wake_up_ins nor code and lock id were issued")
    return CheckCodeSet(
        central=US, peripheral=part.peripheral, code=Secret(bytes(CODE_SIZE)),
        operation=CheckCodeOperation.ADD, new_central=US, new_code=part.ins,
    )  # fmt: skip


async def distribute(
    client: LockClient, part: IssuedInstruction, policy: Policy, now: float
) -> None:
    """Write the check code and wait for the lock's own word about it.

    Results 0 and 4 (it has one already) go on.

    Raises:
        CheckCodeRefused: any other result.
        IssuedConfigUnusable: nothing fit to write.
        LinkError: no reply.
    """
    code = as_written(part, policy.code_source)
    dp_id = part.dp_id or policy.dps.number(DpName.CHECK_CODE)
    datapoint = Datapoint.raw(dp_id, code.to_bytes())
    await client.send(lambda: client.central.write_datapoint(datapoint, now))
    seen = await client.wait(
        ev.Reported, now + REPLY_TIMEOUT, lambda event: _reply(event, dp_id, code) is not None
    )
    reply = _reply(seen, dp_id, code)
    if reply is None:
        raise LinkError("the reply to the check code vanished")
    if reply.result not in (CheckCodeResult.OK, CheckCodeResult.WRONG_CODE):
        raise CheckCodeRefused(reply.result)


def _reply(event: ev.Reported, dp_id: int, code: CheckCodeSet) -> CheckCodeReply | None:
    """The lock's reply to this very code, out of an untimed report."""
    if event.report.time is not None:
        return None
    for datapoint in event.report.datapoints:
        if datapoint.id != dp_id:
            continue
        try:
            reply = CheckCodeReply.from_bytes(datapoint.data)
        except RemoteProtocolError:
            continue
        same = (
            reply.peripheral == code.peripheral
            and reply.central == code.central
            and reply.code == code.code
            and reply.operation == code.operation
            and reply.new_central == code.new_central
        )
        if same:
            return reply
    return None
