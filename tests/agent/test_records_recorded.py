"""The recorded lock's record conversations through the real taking of records.

The recording plays the lock: each thing it said is said again once we have written what the
recorded central had written before it, or after as much time. Where the recorded central did what
we never do (acknowledging a live record), we are waited for in vain, and the recording goes on.
What is asserted is the product's: which records are in the book, and how many acknowledgements
went out (reference: safety D1, D3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest

from bleagent.errors import LinkLost
from bleagent.model import IssuedConfig, IssuedInstruction, LockFacts, Priority
from bleagent.policy import Policy, SnStart
from bleagent.ports import LockRadio
from bleagent.records.beside import Beside
from bleagent.records.record import RecordQuery
from bleagent.records.taking import Drained, RecordListener, RecordPorts
from bleagent.session import LinkPorts, LockSession, open_session
from bleagent.simulator import virtual_time
from bleagent.simulator.fakes import LoopClock, MemoryLocks
from bleagent.simulator.record_fakes import MemoryRecords
from protocol import CommandCode, Secret, Sender
from protocol.capture import Capture, Event, Kind
from protocol.commands import DpWrite
from protocol.observer import Observer, Seen
from tests.codec.replay import load

PATIENCE = 4.0
"""Seconds for which the recording waits for us to write what the recorded central wrote."""
GET_RECORDS = 69
PASS_THROUGH = bytes.fromhex("ffff6597383735393037323500")
"""What ``lock-records-passthrough`` has under 0x0023, with the right code."""


@dataclass
class Said(RecordListener):
    """What was told of drains."""

    drains: list[Drained] = field(default_factory=list)

    def drained(self, drained: Drained) -> None:
        """A drain ended."""
        self.drains.append(drained)


@dataclass
class RecordedLink:
    """The lock's side of one recorded connection. ``codes`` are the commands we wrote."""

    capture: Capture
    events: list[Event]
    end: Event
    att_payload: int = 20
    codes: list[int] = field(default_factory=list)
    question_asked: bool = False
    session: LockSession | None = None

    def __post_init__(self) -> None:
        header = self.capture.header
        self._observer = Observer(header.keys, protocol=header.protocol, bound=header.bound)
        self._send, self._receive = anyio.create_memory_object_stream[bytes](1024)
        self._wrote = anyio.Event()
        self._due: Counter[int] = Counter()

    async def write(self, value: bytes) -> None:
        """One write of ours."""
        await anyio.lowlevel.checkpoint()
        for seen in self._observer.feed(Sender.CENTRAL, value, 0):
            assert isinstance(seen, Seen), seen
            self.codes.append(seen.opened.frame.code)
        wrote, self._wrote = self._wrote, anyio.Event()
        wrote.set()

    async def notifications(self) -> AsyncIterator[bytes]:
        """What the lock said."""
        async for value in self._receive:
            yield value
        raise LinkLost("the recorded connection ended")

    async def play(self) -> None:
        """The connection from its first event to its last."""
        before = self.events[0].t
        for event in self.events:
            if event.kind is Kind.WRITE and event.frame is not None:
                await self._until_written(event)
            else:
                await anyio.sleep(max(event.t - before, 0.0))
            before = event.t
            if event.kind is Kind.NOTIFY and event.value is not None:
                self._observer.feed(Sender.LOCK, event.value, 0)
                await self._send.send(event.value)
        await self._until_we_leave()
        self._send.close()

    async def _until_we_leave(self) -> None:
        """The recorded central left when it was done; we leave when we are. A lost link is lost."""
        if "link lost" in (self.end.note or "") or self.session is None:
            return
        with anyio.move_on_after(PATIENCE):
            while self.session.records.draining:
                await anyio.sleep(0.1)

    async def _until_written(self, event: Event) -> None:
        assert event.frame is not None
        code = event.frame.code
        if code == CommandCode.DP_WRITE and self.session is not None:
            if DpWrite.from_bytes(event.frame.data).datapoints[0].id != GET_RECORDS:
                return  # what the recorded central wanted otherwise
            self.session.records.resume()
        if code == CommandCode.PASSTHROUGH and self.session is not None:
            if event.frame.data != PASS_THROUGH:
                return
            self.session.records.resume()
        self._due[code] += 1
        with anyio.move_on_after(PATIENCE):
            while self.codes.count(code) < self._due[code]:
                await self._wrote.wait()

    def close(self) -> None:
        """It was left."""
        self._send.close()
        self._receive.close()

    @property
    def acks(self) -> int:
        """Acknowledgements of records that we wrote."""
        return self.codes.count(CommandCode.REPORT_TIMED)


@dataclass
class RecordedRadio:
    """Implements ``ports.LockRadio`` over the connections of a recording."""

    capture: Capture
    links: list[RecordedLink] = field(default_factory=list)

    @asynccontextmanager
    async def connect(
        self, lock: LockFacts, *, priority: Priority = Priority.OPERATION
    ) -> AsyncIterator[RecordedLink]:
        """The next recorded connection."""
        del lock, priority
        *events, end = connections(self.capture)[len(self.links)]
        link = RecordedLink(self.capture, events, end)
        self.links.append(link)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(link.play)
            yield link
            tasks.cancel_scope.cancel()
        link.close()


def connections(capture: Capture) -> list[list[Event]]:
    """The events of each connection, its end last."""
    found: list[list[Event]] = []
    for event in capture.events:
        if event.kind is Kind.CONNECT:
            found.append([])
        if found:
            found[-1].append(event)
    return [
        events[: 1 + next(i for i, one in enumerate(events) if one.kind is Kind.DISCONNECT)]
        for events in found
    ]


def told_time(capture: Capture) -> float:
    """What the recorded clock said at the beginning, Unix seconds."""
    for event in capture.events:
        frame = event.frame
        told = frame is not None and event.sender is Sender.CENTRAL
        if frame is not None and told and frame.code == CommandCode.TIME_CLOCK:
            return int(frame.data[:13]) / 1000 - event.t
    raise AssertionError("nobody told this lock the time")


@dataclass
class Replayed:
    """A recording, taken by us."""

    radio: RecordedRadio
    book: MemoryRecords
    drains: list[Drained]
    records: list[tuple[int, int | None, int]]
    """Datapoint, value and time of each record in the book, as they were taken."""

    @property
    def acks(self) -> list[int]:
        """Acknowledgements on each connection."""
        return [link.acks for link in self.radio.links]


def replay(name: str, record: IssuedInstruction | None = None) -> Replayed:
    """Take a recording's records, connection after connection; ``record`` as the cloud issued."""

    async def issued(_facts: LockFacts) -> IssuedConfig:
        return IssuedConfig(lock_random=None, lock_record=record, fetched_at=0.0)

    async def main() -> Replayed:
        capture = load(f"lock-records-{name}.jsonl")
        clock = LoopClock(unix=told_time(capture))
        radio, book, said = RecordedRadio(capture), MemoryRecords(), Said()
        faults: list[Exception] = []
        wired: LockRadio = radio
        ports = LinkPorts(
            radio=wired, memory=MemoryLocks(), clock=clock, new_iv=lambda: bytes(16),
            records=RecordPorts(book=book, config=issued, listener=said),
        )  # fmt: skip
        facts = LockFacts(name="front", device_id="virtual", keys=capture.header.keys)
        policy = Policy(sn_start=SnStart.ONE)
        async with anyio.create_task_group() as tasks:
            beside = Beside(tasks, faults.append)
            for events in connections(capture):
                await anyio.sleep(max(events[0].t - clock.now(), 0.0))
                async with open_session(
                    facts, policy, ports, Priority.VISIT, lambda _: None, lambda _: None, beside
                ) as session:
                    session.records.pause()
                    radio.links[-1].session = session
                    while session.client.is_up and session.records.draining:
                        await anyio.sleep(0.05)
        assert faults == []
        found = await book.records(RecordQuery(after_seq=0, limit=500))
        records = [(one.dp, one.value, int(one.wire_time)) for one in found]
        return Replayed(radio, book, said.drains, records)

    return virtual_time.run(main)


def recorded(name: str) -> list[tuple[int, int, int]]:
    """Every record that the recorded lock sent, in order, as often as it sent it."""
    found = []
    for event in load(f"lock-records-{name}.jsonl").events:
        frame = event.frame
        if frame is None or event.sender is Sender.CENTRAL or frame.code != 0x8003:
            continue
        time, dp, value = frame.data[1:5], frame.data[5], frame.data[8:]
        found.append((dp, int.from_bytes(value, "big"), int.from_bytes(time, "big")))
    return found


@pytest.mark.parametrize(
    ("name", "acks"),
    [
        ("1", [0, 1]),
        ("5", [0, 5]),
        ("64", [0, 64]),
        ("70", [0, 64]),
        ("idle-drain", [0, 9]),
        ("during-drain", [0, 6]),  # seven records came in the drain, one of them live
        ("double", [2]),  # seen live, and both again from the backlog
        ("not-stranded", [0, 5]),  # the first one seen live, and again
        ("link-drop", [0, 2, 4]),  # the third record came twice
        ("powercut-2", [0, 3]),
        ("no-ack", [0, 1]),  # the recorded lock was never told, and sends the same one again
    ],
)
def test_every_record_is_taken_once_and_each_of_the_backlog_acknowledged_once(
    name: str, acks: list[int]
) -> None:
    replayed = replay(name)
    assert Counter(replayed.records) == Counter(set(recorded(name)))
    assert replayed.acks == acks
    assert replayed.drains[-1].why == ""


def test_a_live_record_is_not_acknowledged_so_nothing_is_stranded() -> None:
    # The recorded central did: four records were never offered. We leave them where they are.
    replayed = replay("stranded")
    assert Counter(replayed.records) == Counter(set(recorded("stranded")))
    assert replayed.acks == [0, 0]
    assert replayed.radio.links[1].codes.count(CommandCode.DP_WRITE) == 1


def test_the_question_goes_by_the_pass_through_command_where_the_cloud_says_so() -> None:
    record = IssuedInstruction(dp_id=0, distribute=False, ins=Secret(PASS_THROUGH))
    replayed = replay("passthrough", record)
    assert Counter(replayed.records) == Counter(set(recorded("passthrough")))
    assert replayed.acks == [0, 3]
    codes = replayed.radio.links[1].codes
    assert codes.count(CommandCode.PASSTHROUGH) == 1
    assert codes.count(CommandCode.DP_WRITE) == 0


def test_what_the_lock_deleted_may_return_no_more_but_for_the_last() -> None:
    # No record came after the last acknowledgement: nothing proves that it arrived.
    replayed = replay("5")
    assert sum(one.may_return for one in replayed.book.rows) == 1
