"""The issued check code: what it is, and giving it to a lock that does not have it yet.

Written only when the cloud says that it must be distributed, only as it was issued, once in an
operation, and never as a deletion (reference: safety C6).
"""

from __future__ import annotations

from protocol import Datapoint, DpName, RemoteProtocolError, Secret
from protocol import events as ev
from protocol.lock import CheckCodeOperation, CheckCodeReply, CheckCodeResult, CheckCodeSet

from .errors import AgentError, LinkError
from .lock_client import LockClient
from .model import CodeAttempt, IssuedConfig, IssuedInstruction
from .policy import CodeSource, Policy
from .ports import Clock, LockMemory

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


class CheckCodeUnanswered(AgentError):
    """The check code was written and the lock did not say whether it took it."""

    code = "check-code-unanswered"
    advice = "Ask again: the code is then written once more, and the lock's answer settles it."


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


class CheckCode:
    """Gives one lock the code that was issued for it."""

    def __init__(
        self,
        lock: str,
        part: IssuedInstruction,
        policy: Policy,
        memory: LockMemory,
        clock: Clock,
    ) -> None:
        self._lock = lock
        self._part = part
        self._policy = policy
        self._memory = memory
        self._clock = clock

    async def distribute(self, client: LockClient, known: Secret | None) -> None:
        """Write the check code, once, and wait for the lock's own word about it.

        The attempt is on disk before the first byte leaves: until the lock has answered, now or
        at a later visit, ``known`` (the code that held before) and the new one may both hold.
        Results 0 and 4 (it has one already) go on.

        Raises:
            CheckCodeRefused: any other result.
            CheckCodeUnanswered: it may have been written, and no reply came.
            IssuedConfigUnusable: nothing fit to write.
            LinkError: the link failed before the last fragment.
        """
        part, central = self._part, client.central
        code = as_written(part, self._policy.code_source)
        dp_id = part.dp_id or self._policy.dps.number(DpName.CHECK_CODE)
        datapoint = Datapoint.raw(dp_id, code.to_bytes())
        before = await self._memory.code_attempt(self._lock)
        old = known if before is None else before.old
        await self._memory.begin_code(self._lock, CodeAttempt(old=old, new=code.new_code))
        client.forget_states()
        now, written = self._clock.now(), False

        def before_last() -> None:
            nonlocal written
            written = True

        try:
            await client.send(lambda: central.write_datapoint(datapoint, now), before_last)
            seen = await client.wait(
                ev.Reported,
                now + REPLY_TIMEOUT,
                lambda event: _reply(event, dp_id, code) is not None,
            )
        except LinkError as error:
            if not written:
                raise
            raise CheckCodeUnanswered("the lock did not answer the check code") from error
        await self._memory.settle_code(self._lock)
        reply = _reply(seen, dp_id, code)
        if reply is None:
            raise CheckCodeUnanswered("the reply to the check code vanished")
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
