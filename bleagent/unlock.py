"""The job: operate one lock, top to bottom (DESIGN §3).

Everything before the last fragment ends in *unreached* when it fails; from the moment that
fragment is handed over only the lock's own word makes the outcome, and silence is
*unconfirmed*. Nothing here retries a write, and nothing below does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import anyio

from protocol import (
    Datapoint,
    DpName,
    InstructionError,
    LocalProtocolError,
    Outgoing,
)
from protocol import events as ev
from protocol.lock import OpenOperation, OpenRequest
from protocol.verdict import LockQuestion, OpenQuestion, Question

from .check_code import US, CheckCode, as_written, issued
from .endings import Failure, ending_by, ending_of
from .errors import AgentError, CloudError, LinkError, LockChanged, PairingRefused, TooLate
from .instructing import ask_instruction
from .issued import IssuedConfigs
from .lock_client import LockClient, reserved
from .model import (
    Action,
    Ending,
    IssuedInstruction,
    LockFacts,
    OperationRequest,
    Outcome,
    Priority,
    Step,
)
from .owner import LockOwner
from .policy import LockVia, Offline, Policy
from .ports import Clock, Cloud, Ledger, LockMemory
from .session import LockSession
from .visit import FOLLOWED, Evidence

REPLY_TIMEOUT = 8.0
"""Seconds for the lock's word about an opening; slow motors answer before they have moved."""
BOLT_TIMEOUT = 20.0
"""Seconds for the bolt's report after locking; the slowest known one takes 17."""
FIRST_PAUSE = 0.1
"""Seconds before a second connection, doubled with each further one."""
RECORD_LINGER = 3.0
"""Seconds the link stays for the record of an opening (safety A6)."""
WRONG_CODE = 4
"""The lock's result for another check code: what was issued is out of date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What a job needs of the outside."""

    cloud: Cloud
    ledger: Ledger
    memory: LockMemory
    clock: Clock


class Told(Protocol):
    """Whoever is told what an operation comes to."""

    async def finish(self, ending: Ending) -> None:
        """How it ended; called once."""
        ...

    async def learn(self, evidence: Evidence) -> None:
        """What the lock said in the seconds after (safety C4)."""
        ...


class UnlockJob:
    """One operation. ``run`` ends it exactly once, through ``told.finish``.

    ``still_allowed`` is asked again at the commit point and raises AgentError to stop there
    (safety F2).
    """

    def __init__(
        self,
        request: OperationRequest,
        facts: LockFacts,
        policy: Policy,
        ports: Ports,
        owner: LockOwner,
        told: Told,
        still_allowed: Callable[[], None] = lambda: None,
    ) -> None:
        self._request = request
        self._facts = facts
        self._policy = policy
        self._ports = ports
        self._owner = owner
        self._told = told
        self._still_allowed = still_allowed
        self._configs = IssuedConfigs(facts, policy, ports.cloud, ports.memory, ports.clock)
        self._scope = anyio.CancelScope()
        self._ending: Ending | None = None
        self.steps: dict[str, float] = {}
        self._offline = False
        self._sending = False
        self._in_the_way: AgentError | None = None
        self._committed_at = math.inf
        self.committed = False
        """Whether the last fragment was handed over."""

    # -- from outside

    def cancel(self) -> bool:
        """Stop, if the commit point has not been passed; returns whether it was stopped."""
        if not self.committed:
            self._scope.cancel()
        return not self.committed

    async def run(self) -> None:
        """Do it. Returns when the connection was closed, which is after ``finish``.

        Whatever happens, also what nobody thought of and what is raised again from here, the
        operation ends, and as unconfirmed from the commit point on.
        """
        self._scope.deadline = anyio.current_time() + self._left()
        code = "cancelled"
        try:
            with self._scope:
                await self._operate()
        except Exception:
            code = "internal-error"
            raise
        finally:
            if self.committed:
                await self._end(Ending(outcome=Outcome.UNCONFIRMED, code=code, moved="possible"))
            else:
                if self._left() <= 0 and code == "cancelled":
                    code = (self._owner.trouble() or self._in_the_way or TooLate).code
                await self._end(Ending(outcome=Outcome.UNREACHED, code=code))

    # -- the steps

    async def _operate(self) -> None:
        """Visit the lock, again if the link failed before anything was committed."""
        async with anyio.create_task_group() as meanwhile:
            if self._needs_config:
                meanwhile.start_soon(self._configs.fetch)
            pause = FIRST_PAUSE
            while (failure := await self._attempt()) is not None:
                if not self._may_try_again(failure, pause):
                    await self._end(ending_of(failure))
                    break
                self._in_the_way = failure if isinstance(failure, AgentError) else None
                await anyio.sleep(pause)
                pause *= 2
            meanwhile.cancel_scope.cancel()

    def _may_try_again(self, failure: Failure, pause: float) -> bool:
        mendable = isinstance(failure, LinkError) and not isinstance(
            failure, PairingRefused | LockChanged
        )
        return mendable and not self._sending and self._left() > pause

    async def _attempt(self) -> Failure | None:
        """Use the lock's connection once; failures are returned."""
        try:
            async with self._owner.use(Priority.OPERATION, self._mark) as session:
                session.visit.follow_nobody()  # what comes from here is ours
                await self._act(session)
        except (AgentError, InstructionError, LocalProtocolError) as error:
            return error
        return None

    async def _act(self, session: LockSession) -> None:
        if not self._needs_config:
            await self._lock_by_hand(session)
            return
        part = issued(await self._configs.get())
        self._mark(Step.CONFIG)
        if part.distribute:
            ports, known = self._ports, self._configs.held_code
            code = CheckCode(self._facts.name, part, self._policy, ports.memory, ports.clock)
            await code.distribute(session.client, known)
            await self._configs.distributed()
            self._mark(Step.CHECK_CODE)
        try:
            await self._with_instruction(session, part)
        except CloudError as error:
            await self._configs.heed(error)
            if not await self._may_open_offline(error):
                raise
            self._offline = True
            await self._sealed_by_us(session, part)

    async def _with_instruction(self, session: LockSession, part: IssuedInstruction) -> None:
        """The cloud's way: reserve a number, have it sealed, check every field, send."""
        client, policy = session.client, self._policy
        with reserved(client.central) as reservation:
            sealed, instruction = await ask_instruction(
                client, self._facts, policy, self._ports.cloud, part, reservation,
                opens=self._opens, came=lambda: self._mark(Step.INSTRUCTION),
            )  # fmt: skip
            question = self._question(instruction.request)

            def make() -> Outgoing:
                return client.central.send_instruction(
                    instruction,
                    next_sn=sealed.next_sn,
                    question=question,
                    air=policy.instruction_air,
                )[0]

            await self._commit_and_wait(session, question, make, reservation.sn, sealed=True)

    async def _sealed_by_us(self, session: LockSession, part: IssuedInstruction) -> None:
        """Without the cloud: the issued code in a frame of our own, under the session key."""
        policy, unix = self._policy, int(self._ports.clock.unix())
        code = as_written(part, policy.code_source)
        request = OpenRequest(
            central=US,
            peripheral=code.peripheral,
            code=code.new_code,
            operation=OpenOperation.OPEN,
            timestamp=await self._ports.memory.next_timestamp(self._facts.name, unix),
            method=0,
            info=bytes((policy.member,)),
        )
        datapoint = Datapoint.raw(policy.dps.number(DpName.OPEN_CHECKED), request.to_bytes())
        await self._write_own(session, datapoint, self._question(request))

    async def _lock_by_hand(self, session: LockSession) -> None:
        datapoint = Datapoint.boolean(self._policy.dps.number(DpName.MANUAL_LOCK), value=True)
        await self._write_own(session, datapoint, LockQuestion(self._bolt_dp))

    async def _write_own(
        self, session: LockSession, datapoint: Datapoint, question: Question
    ) -> None:
        central, now = session.client.central, self._ports.clock.now()

        def make() -> Outgoing:
            return central.write_datapoint(datapoint, now, question=question)

        await self._commit_and_wait(session, question, make, central.last_sn + 1)

    # -- the write, and the lock's word about it

    async def _commit_and_wait(
        self,
        session: LockSession,
        question: Question,
        make: Callable[[], Outgoing],
        sn: int,
        *,
        sealed: bool = False,
    ) -> None:
        """``sending`` on disk, the deadline checked, the fragments out, the answer awaited."""
        client = session.client
        client.check_up()  # a link that is gone by now can still be made anew
        self._sending = True
        await self._ports.ledger.sending(self._request.operation_id, sn=sn, sealed=sealed)
        self._mark(Step.COMMIT)
        self._check_deadline()  # an fsync on an SD card can stall for seconds (A1)
        with anyio.CancelScope() as shielded:

            def before_last() -> None:
                client.check_up()
                self._check_deadline()
                self._still_allowed()
                self.committed = True
                self._committed_at = now = self._ports.clock.now()
                session.records.expect(self._request.operation_id, now + FOLLOWED)
                self._scope.deadline = math.inf
                shielded.shield = True

            try:
                await client.send(make, before_last)
            except LinkError:
                if not self.committed:
                    raise
                # It may have left all the same; only the lock can tell.
            late = self._left() < 0
            self._mark(Step.WRITE)
            ending = await self._judged(client, question)
            self._mark(Step.ACK)
            await self._tell(session, replace(ending, late=late))
            opened = ending.outcome in (Outcome.CONFIRMED, Outcome.UNCONFIRMED) and self._opens
            owed_by = self._request.operation_id if opened else None
            await session.records.one_kept(RECORD_LINGER, owed_by=owed_by)

    async def _judged(self, client: LockClient, question: Question) -> Ending:
        wait = REPLY_TIMEOUT if self._opens else BOLT_TIMEOUT
        until = self._ports.clock.now() + wait
        try:
            judged = await client.wait(ev.Judged, until, lambda one: one.question is question)
        except LinkError as error:
            return Ending(outcome=Outcome.UNCONFIRMED, code=error.code, moved="possible")
        return ending_by(judged.verdict)

    async def _tell(self, session: LockSession, ending: Ending) -> None:
        """The outcome, with what else the lock has said since; then whatever follows from it."""
        evidence = session.visit.evidence_since(self._committed_at)
        session.visit.follow(self._told.learn)
        session.spent = ending.outcome is Outcome.UNCONFIRMED
        await self._end(replace(ending, evidence=evidence))
        if ending.result == WRONG_CODE:
            await self._configs.refresh()
        elif ending.outcome is Outcome.CONFIRMED and self._needs_config:
            await self._configs.proven()

    def _check_deadline(self) -> None:
        if self._left() <= 0:
            raise TooLate("the deadline passed before the command was written")

    # -- choices

    @property
    def _opens(self) -> bool:
        return self._request.action is Action.UNLOCK

    @property
    def _needs_config(self) -> bool:
        return self._opens or self._policy.lock_via is LockVia.DP71

    @property
    def _bolt_dp(self) -> int | None:
        dps = self._policy.dps
        return dps.number(DpName.BOLT) if DpName.BOLT in dps else None

    def _question(self, request: OpenRequest) -> Question:
        if request.operation != OpenOperation.OPEN:
            return LockQuestion(self._bolt_dp)
        dps = self._policy.dps
        record = dps.number(DpName.OPEN_RECORD) if DpName.OPEN_RECORD in dps else None
        return OpenQuestion(request, dps.number(DpName.OPEN_CHECKED), record)

    async def _may_open_offline(self, error: CloudError) -> bool:
        """Only where no answer could be had, never for guests, never on an old *yes* (F3)."""
        if (
            self._policy.offline is not Offline.CACHED
            or not error.allows_offline
            or self._request.principal.guest
            or not self._opens
        ):
            return False
        if await self._ports.memory.code_attempt(self._facts.name) is not None:
            return False  # nobody knows which code the lock has (C6)
        return self._configs.age() <= self._policy.offline_max_age

    # -- the ending

    async def _end(self, ending: Ending) -> None:
        """Store and tell how it ended; the first ending counts."""
        if self._ending is not None:
            return
        self._ending = replace(ending, steps=dict(self.steps), offline=self._offline)
        with anyio.CancelScope(shield=True):
            await self._told.finish(self._ending)

    def _left(self) -> float:
        return self._request.deadline - self._ports.clock.now()

    def _mark(self, step: Step) -> None:
        self.steps[step] = self._ports.clock.now() - self._request.received_at
