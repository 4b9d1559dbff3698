"""Everything of an opening up to the write, and nothing is written: what would be in the way.

For ``bleagent doctor --lock``. Who wants to open the door meanwhile does not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from protocol import InstructionError, LocalProtocolError

from .check_code import issued
from .endings import Failure, ending_of
from .errors import AgentError, CloudError, TooLate
from .instructing import ask_instruction
from .issued import IssuedConfigs
from .lock_client import reserved
from .model import LockFacts, Priority, Step
from .owner import LockOwner
from .policy import Policy
from .ports import Clock, Cloud, LockMemory

WITHIN = 20.0
"""Seconds for all of it: a lock that sleeps is looked for, and the cloud asked twice."""


@dataclass(slots=True)
class Rehearsed:
    """How far it came: seconds to the end of each step, and what ended it before the write."""

    steps: dict[Step, float] = field(default_factory=dict)
    failure: Failure | None = None
    gives_code: bool = False
    """The lock does not have the cloud's check code yet: an opening would give it first."""

    @property
    def code(self) -> str:
        """``ok``, or as an operation would have ended."""
        return "ok" if self.failure is None else ending_of(self.failure).code


async def rehearse(
    facts: LockFacts,
    policy: Policy,
    cloud: Cloud,
    memory: LockMemory,
    clock: Clock,
    owner: LockOwner,
) -> Rehearsed:
    """Connect, pair, have the configuration and an instruction issued, and check them.

    Raises nothing on account of what goes wrong. The instruction is thrown away: its number is
    free again, for it never was on the air.
    """
    found, began = Rehearsed(), clock.now()
    configs = IssuedConfigs(facts, policy, cloud, memory, clock)

    def mark(step: Step) -> None:
        found.steps[step] = clock.now() - began

    async def up_to_the_write() -> None:
        async with owner.use(Priority.VISIT, mark) as session:
            part = issued(await configs.get())
            mark(Step.CONFIG)
            found.gives_code = part.distribute
            with reserved(session.client.central) as reservation:
                await ask_instruction(
                    session.client, facts, policy, cloud, part, reservation, opens=True
                )
                mark(Step.INSTRUCTION)

    async with anyio.create_task_group() as meanwhile:
        meanwhile.start_soon(configs.fetch)
        with anyio.move_on_after(WITHIN) as bound:
            try:
                await up_to_the_write()
            except (AgentError, InstructionError, LocalProtocolError) as error:
                found.failure = error
                if isinstance(error, CloudError):
                    await configs.heed(error)  # a *no* is a no (safety F3)
        if bound.cancelled_caught:
            found.failure = owner.trouble() or TooLate(f"not within {WITHIN:.0f} s")
        meanwhile.cancel_scope.cancel()
    return found
