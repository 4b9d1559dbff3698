"""What the cloud has of a lock's records, held against ours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleagent.adapters.sinks.openapi import OpenApiSink
from bleagent.cloud.errors import CloudError, CloudTimeout, NotSupported
from bleagent.records import verify as verifying
from bleagent.records.readback import CloudRecord, ReadBack
from bleagent.records.record import DONE, Carriage, StoredRecord
from bleagent.records.standard_codes import NEVER_TOLD_BACK, STANDARD_CODES
from bleagent.records.verify import LIST_RECORDS, OPENING_LOGS, Verification, verify
from bleagent.simulator.cloud_faults import Fault, FaultKind
from bleagent.simulator.cloud_records import REPORT_PROPERTY, ReportedRecord
from protocol import DpType
from protocol.records import Alarm, RecordKind
from tests.agent.cloud_records_world import LOCK, SINK, Shelf, running, stored
from tests.agent.cloud_world import DEVICE, T_MS, UNIX

pytestmark = pytest.mark.anyio


NEVER = {STANDARD_CODES[kind] for kind in NEVER_TOLD_BACK}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(slots=True)
class FakeCloud:
    """Tells what it is given."""

    told: ReadBack
    error: CloudError | None = None
    spans: list[tuple[float, float]] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)

    async def list_records(
        self, device_id: str, *, since: float, until: float, codes: Iterable[str]
    ) -> ReadBack:
        await anyio.lowlevel.checkpoint()
        assert device_id == DEVICE
        self.spans.append((since, until))
        self.codes = list(codes)
        if self.error is not None:
            raise self.error
        return self.told

    async def opening_logs(self, device_id: str, *, since: float, until: float) -> ReadBack:
        await anyio.lowlevel.checkpoint()
        assert device_id == DEVICE
        self.spans.append((since, until))
        return self.told


def done(seq: int, *, at: float = UNIX, **more: Any) -> StoredRecord:
    return stored(seq, at=at, state=Carriage.DONE, **more)


def has(at: float, value: int | bool | str = "3", code: str = "unlock_fingerprint") -> CloudRecord:
    return CloudRecord(code=code, value=value, time=at)


async def compare(
    ours: Iterable[StoredRecord],
    theirs: Iterable[CloudRecord],
    *,
    since: float = UNIX - 100,
    until: float = UNIX + 100,
    cloud: FakeCloud | None = None,
    codes: dict[int, str] | None = None,
    **told: Any,
) -> Verification:
    return await verify(
        Shelf(list(ours)),
        cloud or FakeCloud(ReadBack(records=tuple(theirs), **told)),
        lock=LOCK,
        device_id=DEVICE,
        sink=SINK,
        since=since,
        until=until,
        codes=codes,
    )


def summary(found: Verification) -> tuple[int, list[int], list[float], list[float], list[int]]:
    return (
        found.agree,
        [one.seq for one in found.lacks],
        [one.time - UNIX for one in found.twice],
        [one.time - UNIX for one in found.strange],
        [one.seq for one in found.unconfirmed],
    )


# -- the four words


async def test_what_both_have_agrees() -> None:
    ours = [done(1), done(2, at=UNIX + 5)]
    found = await compare(ours, [has(UNIX + 5), has(UNIX)])
    assert summary(found) == (2, [], [], [], [])
    assert found.clean
    assert (found.source, found.lock, found.sink) == (LIST_RECORDS, LOCK, SINK)


async def test_what_the_cloud_lacks_is_named() -> None:
    found = await compare([done(1), done(2, at=UNIX + 5)], [has(UNIX + 5)])
    assert summary(found) == (1, [1], [], [], [])
    assert not found.clean


async def test_what_the_cloud_has_twice_is_named() -> None:
    found = await compare([done(1)], [has(UNIX), has(UNIX), has(UNIX)])
    assert summary(found) == (1, [], [0, 0], [], [])
    assert not found.clean


async def test_what_we_never_took_is_named() -> None:
    other = [has(UNIX + 50), has(UNIX, "4"), has(UNIX, "3", "unlock_card")]
    found = await compare([done(1)], [has(UNIX), *other])
    assert summary(found) == (1, [], [], [50, 0, 0], [])
    assert not found.clean


async def test_a_record_whose_answer_was_lost_is_there_and_not_strange() -> None:
    waiting = stored(2, at=UNIX + 5, state=Carriage.WAITING)
    unknown = stored(3, at=UNIX + 9, state=None)
    found = await compare([done(1), waiting, unknown], [has(UNIX), has(UNIX + 5)])
    assert summary(found) == (1, [], [], [], [2])
    assert found.clean  # and what still waits is not missed


async def test_a_copy_of_one_that_waits_is_twice_as_well() -> None:
    found = await compare([stored(1)], [has(UNIX), has(UNIX)])
    assert summary(found) == (0, [], [0], [], [1])


async def test_what_was_carried_comes_before_what_waits() -> None:
    """Two events of one second, one carried: the cloud's one is that one."""
    found = await compare([stored(1, state=Carriage.PARKED), done(2)], [has(UNIX)])
    assert summary(found) == (1, [], [], [], [])


# -- one to one


async def test_two_events_within_one_second_are_two() -> None:
    ours = [done(1, at=UNIX + 0.2), done(2, at=UNIX + 0.9)]
    assert summary(await compare(ours, [has(UNIX), has(UNIX)])) == (2, [], [], [], [])
    assert summary(await compare(ours, [has(UNIX)])) == (1, [2], [], [], [])


@pytest.mark.parametrize("told", [int, lambda at: at, lambda at: round(at * 1000) / 1000])
async def test_the_cloud_may_tell_seconds_or_milliseconds(told: Any) -> None:
    times = [UNIX + offset for offset in (0.0, 0.6, 1.6, 2.4, 2.5, 3.999, 10.123456)]
    ours = [done(number, at=at) for number, at in enumerate(times)]
    assert summary(await compare(ours, [has(told(at)) for at in times])) == (7, [], [], [], [])


async def test_more_than_a_second_apart_is_another_event() -> None:
    assert summary(await compare([done(1)], [has(UNIX + 1.25)])) == (0, [1], [], [1.25], [])
    assert summary(await compare([done(1)], [has(UNIX - 1)])) == (1, [], [], [], [])


async def test_the_nearer_one_is_the_same_and_the_other_is_strange() -> None:
    found = await compare([done(1)], [has(UNIX - 1), has(UNIX)])
    assert summary(found) == (1, [], [], [-1], [])
    found = await compare([done(1)], [has(UNIX), has(UNIX + 1)])
    assert summary(found) == (1, [], [], [1], [])
    ours = [done(1), done(2, at=UNIX + 1)]
    found = await compare(ours, [has(UNIX - 1), has(UNIX), has(UNIX + 1)])
    assert summary(found) == (2, [], [], [-1], [])


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (done(1, kind=RecordKind.CARD, value=1), has(UNIX, "1", "unlock_card")),
        (done(1, kind=RecordKind.CARD, value=1), has(UNIX, 1, "unlock_card")),
        (done(1, kind=RecordKind.CARD, value=1), has(UNIX, " 01 ", "unlock_card")),
        (
            done(1, kind=RecordKind.FROM_INSIDE, value=1, dp_type=DpType.BOOL),
            has(UNIX, "true", "open_inside"),
        ),
        (
            done(1, kind=RecordKind.FROM_INSIDE, value=1, dp_type=DpType.BOOL),
            has(UNIX, 1, "open_inside"),
        ),
        (
            done(1, kind=RecordKind.FROM_INSIDE, value=0, dp_type=DpType.BOOL),
            has(UNIX, False, "open_inside"),
        ),
        (done(1, kind=RecordKind.ALARM, value=Alarm.PRIED), has(UNIX, "pry", "alarm_lock")),
        (done(1, kind=RecordKind.OPENED, value=None, data=b"\1"), has(UNIX, "AQ==", "x")),
    ],
)
async def test_a_value_is_the_same_in_each_of_its_forms(
    record: StoredRecord, told: CloudRecord
) -> None:
    found = await compare([record], [told], codes={12: "x"} if told.code == "x" else None)
    assert summary(found) == (1, [], [], [], [])


@pytest.mark.parametrize("value", ["4", "", "three", "9" * 5000, "3.5", "٣"])
async def test_another_value_is_another_value(value: str) -> None:
    found = await compare([done(1)], [has(UNIX, value)])
    assert summary(found) == (0, [1], [], [0], [])


async def test_one_that_is_missing_in_a_row_of_equal_ones_is_the_one_that_is_named() -> None:
    ours = [done(n, at=UNIX + n) for n in range(10)]
    theirs = [has(UNIX + n) for n in range(10) if n != 3]
    assert summary(await compare(ours, theirs)) == (9, [3], [], [], [])
    found = await compare(ours, [*theirs, has(UNIX + 7)])
    assert summary(found) == (9, [3], [7], [], [])


async def test_where_the_cloud_tells_milliseconds_they_tell_two_events_of_a_second_apart() -> None:
    found = await compare([done(1, at=UNIX + 0.25), done(2, at=UNIX + 0.75)], [has(UNIX + 0.75)])
    assert summary(found) == (1, [1], [], [], [])


# -- the span


async def test_only_the_span_is_judged_and_its_ends_are_seen_whole() -> None:
    ours = [done(n, at=UNIX + at) for n, at in enumerate((-1.5, -0.5, 0.4, 10, 10.4, 11.5))]
    theirs = [has(UNIX + at) for at in (-3, -1, 0, 10, 10, 13)]
    found = await compare(ours, theirs, since=UNIX, until=UNIX + 10)
    assert summary(found) == (2, [], [], [], [])
    assert found.clean
    cloud = FakeCloud(ReadBack(records=()))
    await compare([], [], since=UNIX, until=UNIX + 10, cloud=cloud)
    assert cloud.spans == [(UNIX - 2, UNIX + 12)]


async def test_records_of_a_pairing_before_are_left_alone() -> None:
    found = await compare([done(1, device_id="before"), done(2)], [has(UNIX)])
    assert summary(found) == (1, [], [], [], [])


async def test_every_code_is_asked_for_that_anybody_may_have_reported() -> None:
    cloud = FakeCloud(ReadBack(records=()))
    ours = [done(1, dp=99, kind=RecordKind.UNKNOWN)]
    await compare(ours, [], cloud=cloud, codes={15: "unlock_own"})
    assert set(cloud.codes) == {*STANDARD_CODES.values(), "unlock_own", "dp_99"} - NEVER


@pytest.mark.parametrize("kind", sorted(NEVER_TOLD_BACK))
async def test_no_word_about_credentials_is_told_back_and_none_is_missed(kind: RecordKind) -> None:
    told = (has(UNIX, "AAAU", STANDARD_CODES[kind]), has(UNIX, "AAAU", "my"))
    cloud = FakeCloud(ReadBack(records=told))
    words = [done(seq, dp=54, kind=kind) for seq in (1, 2)]
    found = await compare(words, [], cloud=cloud, codes={54: "my"})
    assert found.clean
    assert not {*NEVER, "my"} & set(cloud.codes)


async def test_a_products_own_code_is_what_it_is_compared_by() -> None:
    found = await compare([done(1)], [has(UNIX, code="unlock_own")], codes={12: "unlock_own"})
    assert summary(found) == (1, [], [], [], [])


# -- not seen whole


async def test_a_cut_read_back_says_that_it_is_one() -> None:
    found = await compare([done(1)], [has(UNIX)], cut=True)
    assert (found.agree, found.cut, found.clean) == (1, True, False)
    found = await compare([done(1)], [has(UNIX)], unread=2)
    assert (found.agree, found.unread, found.clean) == (1, 2, False)


async def test_ours_are_read_page_by_page_and_cut_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verifying, "PAGE", 7)
    ours = [done(n, at=UNIX + n // 2) for n in range(30)]  # pages end between equal times
    theirs = [has(one.at) for one in ours]
    assert summary(await compare(ours, theirs)) == (30, [], [], [], [])
    monkeypatch.setattr(verifying, "MAX_RECORDS", 20)
    found = await compare(ours, theirs)
    assert found.cut
    assert found.agree == 21


async def test_the_opening_logs_stand_in_and_say_what_they_cannot_tell() -> None:
    alarm = done(3, kind=RecordKind.ALARM, value=Alarm.PRIED)
    inside = done(4, kind=RecordKind.FROM_INSIDE, value=1)
    told = ReadBack(records=(has(UNIX), has(UNIX + 50), has(UNIX, "1", "open_inside")))
    cloud = FakeCloud(told, error=NotSupported("No", cloud_code=1108))
    found = await compare([done(1), done(2, at=UNIX + 9), alarm, inside], [], cloud=cloud)
    assert found.source == OPENING_LOGS
    assert summary(found) == (1, [2], [], [50], [])
    assert found.not_compared == 2
    assert not found.clean
    assert len(cloud.spans) == 2


async def test_a_cloud_that_does_not_answer_is_an_error_and_no_verdict() -> None:
    cloud = FakeCloud(ReadBack(records=()), error=CloudTimeout("No answer"))
    with pytest.raises(CloudTimeout):
        await compare([done(1)], [], cloud=cloud)
    assert len(cloud.spans) == 1


# -- against what is planned


@given(
    gaps=st.lists(st.sampled_from([0.0, 0.1, 0.4, 0.5, 0.999, 1.0, 1.5, 30.0]), max_size=25),
    fates=st.lists(st.sampled_from(["once", "once", "lost"]), min_size=25, max_size=25),
    whole=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_no_more_is_missed_than_is_missing(
    gaps: list[float], fates: list[str], whole: bool, seed: int
) -> None:
    at, ours, theirs = UNIX, list[StoredRecord](), list[CloudRecord]()
    for number, gap in enumerate(gaps):
        at += gap
        ours.append(done(number, at=at))
        if fates[number] == "once":
            theirs.append(has(float(int(at)) if whole else round(at * 1000) / 1000))
    Random(seed).shuffle(theirs)
    found = anyio.run(lambda: compare(ours, theirs, until=at + 100))
    assert found.agree == len(theirs)
    assert len(found.lacks) == len(ours) - len(theirs)
    assert (found.twice, found.strange) == ((), ())


# -- the real client and the virtual cloud


@pytest.mark.parametrize("dedupes", [True, False])
async def test_a_lost_answer_is_seen_where_the_cloud_does_not_dedupe(dedupes: bool) -> None:
    records = [stored(number, at=UNIX + number) for number in range(1, 61)]
    async with running() as pair:
        pair.cloud.records.dedupes = dedupes
        sink = OpenApiSink(SINK, pair.client, pair.clock, batch=100)
        pair.cloud.faults.next_calls(REPORT_PROPERTY, *[None] * 9, Fault(FaultKind.CUT_AFTER))
        receipts = await sink.deliver(records)
        carried = receipts.count(DONE)
        assert carried == 9
        assert set(await sink.deliver(records[carried:])) == {DONE}
        del pair.cloud.records.stored[4]
        pair.cloud.records.planted.append(
            ReportedRecord(device_id=DEVICE, code="alarm_lock", value="pry", time_ms=T_MS + 30_000)
        )
        ours = [stored(one.seq, at=one.at, state=Carriage.DONE) for one in records]
        found = await verify(
            Shelf(ours),
            pair.client,
            lock=LOCK,
            device_id=DEVICE,
            sink=SINK,
            since=UNIX,
            until=UNIX + 60,
        )
        assert found.source == LIST_RECORDS
        assert found.agree == 59
        assert [one.seq for one in found.lacks] == [5]
        assert [one.time for one in found.twice] == ([] if dedupes else [UNIX + 10])
        assert [(one.code, one.value) for one in found.strange] == [("alarm_lock", "pry")]
        assert not found.cut
