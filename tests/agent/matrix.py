"""The fault matrix: run one rehearsal and judge its outcome by the lock's own log."""

from __future__ import annotations

from bleagent.model import OperationRecord, Outcome
from bleagent.simulator.faults import NO_FAULTS, Faults
from bleagent.simulator.log import Delivered, Replied
from tests.agent.world import World, rehearse

DEADLINE = 10.0


class Rehearsal:
    """What came out of one run, and what really happened."""

    def __init__(self, name: str, faults: Faults = NO_FAULTS) -> None:
        self.name = name
        self.faults = faults
        self.written = 0
        """Packets that were written on the first connection when the outcome was told."""
        self.record, self.world = rehearse(self._story, name, faults=faults)

    async def _story(self, world: World) -> tuple[OperationRecord, World]:
        record = await world.operate(deadline=DEADLINE)
        self.written = len(world.radio.links[0].written) if world.radio.links else 0
        return record, world

    @property
    def outcome(self) -> Outcome:
        """What the agent says."""
        assert self.record.ending is not None
        return self.record.ending.outcome

    @property
    def opened(self) -> int:
        """How often the door was opened."""
        return len(self.world.actuations())

    @property
    def reply_delivered(self) -> bool:
        """Whether the lock's word about an opening reached us, whole and in order."""
        log = list(self.world.lock.log)
        replies = {(one.connection, one.sn) for one in log if isinstance(one, Replied)}
        delivered = {(one.connection, one.sn) for one in log if isinstance(one, Delivered)}
        return bool(replies & delivered)

    def judge(self) -> None:
        """The four outcomes against the truth."""
        where = f"{self.name} {self.faults}: {self.record.ending}"
        assert self.opened <= 1, f"opened {self.opened} times: {where}"
        match self.outcome:
            case Outcome.UNREACHED:
                assert self.opened == 0, where
            case Outcome.CONFIRMED:
                assert self.opened == 1, where
                assert self.reply_delivered, where
            case Outcome.REFUSED:
                assert self.record.ending is not None
                assert self.opened == 0 or self.record.ending.moved == "possible", where
            case Outcome.UNCONFIRMED:
                # It must not hide behind caution either.
                assert not (self.opened and self.reply_delivered), where


class Calm:
    """An undisturbed opening: how many packets it has, and which are whose."""

    def __init__(self, name: str) -> None:
        rehearsal = Rehearsal(name)
        assert rehearsal.outcome is Outcome.CONFIRMED
        link = rehearsal.world.radio.links[0]
        self.writes = rehearsal.written
        self.notifications = link.notified
        before = link.written[: self.writes]
        self.instruction = max(i for i, value in enumerate(before) if value[0] == 0)
        """The first fragment of the instruction; only acknowledgements of records follow it."""
        self.answers_before = link.notified_at[self.instruction]
        """Notifications that had come before it."""
