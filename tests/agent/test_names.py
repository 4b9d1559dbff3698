"""Whose a credential is: asked for seldom, told at once, and never in anybody's way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import anyio
import pytest

from bleagent.cloud.errors import CloudError, CloudTimeout, PermissionDenied
from bleagent.records.names import CredentialNames, Names
from bleagent.records.readback import MEMBER, CredentialName
from bleagent.records.record import StoredRecord
from bleagent.simulator.cloud_records import CloudCredential, CloudUser
from protocol.records import RecordKind
from tests.agent.cloud_records_world import LOCK, running, stored
from tests.agent.cloud_world import DEVICE, UNIX, StillClock

pytestmark = pytest.mark.anyio

HOUR, DAY = 3600.0, 24 * 3600.0
THUMB = CredentialName(
    code="unlock_fingerprint", sn=3, user_id="1", user_name="James", unlock_name="thumb"
)
PIN = CredentialName(code="unlock_password", sn=3, unlock_name="the cleaners", duress=True)
JAMES = CredentialName(code=MEMBER, sn=2, user_id="1", user_name="James")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(slots=True)
class FakeCloud:
    """Tells what it is given, or fails; keeps when it was asked."""

    clock: StillClock
    told: Sequence[CredentialName] = (THUMB, PIN, JAMES)
    error: CloudError | None = None
    asked: list[tuple[str, float]] = field(default_factory=list)

    async def credential_names(self, device_id: str) -> tuple[CredentialName, ...]:
        await anyio.lowlevel.checkpoint()
        self.asked.append((device_id, self.clock.date - UNIX))
        if self.error is not None:
            raise self.error
        return tuple(self.told)

    @property
    def times(self) -> list[float]:
        return [time for _, time in self.asked]


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def cloud(clock: StillClock) -> FakeCloud:
    return FakeCloud(clock)


def taken(record: StoredRecord, clock: StillClock) -> StoredRecord:
    """It, as it comes off the lock now."""
    return replace(record, taken_at=clock.date)


def old(value: int = 3, kind: RecordKind = RecordKind.FINGERPRINT, dp: int = 12) -> StoredRecord:
    return replace(stored(1, kind, value, dp=dp), taken_at=UNIX - DAY)


async def look(names: Names, record: StoredRecord) -> str | None:
    """Look, let it ask what is due, look again."""
    names.name_of(LOCK, record)
    await names.ask_due()
    return names.name_of(LOCK, record)


async def test_a_name_is_there_once_the_cloud_was_asked(
    clock: StillClock, cloud: FakeCloud
) -> None:
    names = Names(cloud, clock)
    assert names.name_of(LOCK, old()) is None
    assert cloud.asked == []  # looking waits for nobody
    await names.ask_due()
    assert cloud.asked == [(DEVICE, 0)]
    assert names.name_of(LOCK, old()) == "James"
    assert not names.is_duress(LOCK, old())


async def test_who_is_expected_has_a_name_before_anybody_looks(
    clock: StillClock, cloud: FakeCloud
) -> None:
    names = Names(cloud, clock)
    names.expect([DEVICE])
    await names.ask_due()
    assert names.name_of(LOCK, old()) == "James"
    await names.ask_due()
    assert len(cloud.asked) == 1


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (old(3, RecordKind.FINGERPRINT), "James"),
        (old(3, RecordKind.PASSWORD), "the cleaners"),  # bound to nobody: its own name
        (old(2, RecordKind.BLUETOOTH), "James"),
        (old(2, RecordKind.REMOTE_PHONE), "James"),
        (old(4, RecordKind.FINGERPRINT), None),
        (old(2, RecordKind.FINGERPRINT), None),
        (old(3, RecordKind.TEMPORARY_PASSWORD), None),
        (old(3, RecordKind.ALARM), None),
        (old(3, RecordKind.MECHANICAL_KEY), None),
        (replace(old(), value=None), None),
    ],
)
async def test_a_name_belongs_to_a_kind_and_a_number(
    record: StoredRecord, name: str | None, clock: StillClock, cloud: FakeCloud
) -> None:
    names = Names(cloud, clock)
    await look(names, old())
    assert names.name_of(LOCK, record) == name


async def test_a_credential_for_duress_is_known_as_one(clock: StillClock, cloud: FakeCloud) -> None:
    names = Names(cloud, clock)
    await look(names, old())
    assert names.is_duress(LOCK, old(3, RecordKind.PASSWORD))
    assert not names.is_duress(LOCK, old(4, RecordKind.PASSWORD))


async def test_a_products_own_code_or_the_datapoint_finds_the_name_too(
    clock: StillClock, cloud: FakeCloud
) -> None:
    cloud.told = (
        CredentialName(code="unlock_own", sn=3, user_name="by code"),
        CredentialName(code="something", sn=3, user_name="by datapoint", dp=12),
    )
    names = Names(cloud, clock, codes={LOCK: {15: "unlock_own"}})
    assert await look(names, old(dp=15)) == "by code"
    assert names.name_of(LOCK, old(dp=12)) == "by datapoint"
    assert names.name_of(LOCK, old(dp=16)) is None
    assert names.name_of("another", old(dp=15)) is None


async def test_a_member_without_a_number_at_the_lock_is_not_number_0(
    clock: StillClock, cloud: FakeCloud
) -> None:
    cloud.told = (CredentialName(code=MEMBER, sn=0, user_name="nobody"),)
    assert await look(Names(cloud, clock), old(0, RecordKind.BLUETOOTH)) is None


# -- how often


async def test_the_cloud_is_asked_once_a_day_however_often_anybody_looks(
    clock: StillClock, cloud: FakeCloud
) -> None:
    names = Names(cloud, clock)
    for _ in range(49):
        await look(names, old())
        await look(names, old(99))  # nobody's, and it was there before the cloud was asked
        clock.pass_time(HOUR)
    assert cloud.times == [0, DAY, 2 * DAY]


async def test_nobody_looks_and_nobody_asks(clock: StillClock, cloud: FakeCloud) -> None:
    names = Names(cloud, clock)
    clock.pass_time(3 * DAY)
    await names.ask_due()
    names.name_of(LOCK, old(kind=RecordKind.ALARM))
    await names.ask_due()
    assert cloud.asked == []


async def test_a_new_record_without_a_name_is_asked_about_within_ten_minutes(
    clock: StillClock, cloud: FakeCloud
) -> None:
    names = Names(cloud, clock)
    await look(names, old())
    clock.pass_time(60)
    new = taken(stored(2, value=7), clock)
    assert await look(names, new) is None
    clock.pass_time(539)
    assert await look(names, new) is None
    assert cloud.times == [0]
    cloud.told = (THUMB, replace(THUMB, sn=7, user_name="Ann"))
    clock.pass_time(1)
    assert await look(names, new) == "Ann"
    assert cloud.times == [0, 600]
    # The same again for one whom the cloud does not know either: once, not for ever.
    clock.pass_time(1)
    other = taken(stored(3, value=8), clock)
    for _ in range(12):
        clock.pass_time(300)
        assert await look(names, other) is None
    assert cloud.times == [0, 600, 1201]


async def test_a_name_that_is_known_asks_for_nothing(clock: StillClock, cloud: FakeCloud) -> None:
    names = Names(cloud, clock)
    await look(names, old())
    clock.pass_time(HOUR)
    await look(names, taken(stored(2), clock))
    assert cloud.times == [0]


async def test_each_device_is_asked_about_by_itself(clock: StillClock, cloud: FakeCloud) -> None:
    names = Names(cloud, clock)
    await look(names, old())
    other = replace(old(), device_id="another")
    cloud.told = (replace(THUMB, user_name="Ann"),)
    assert await look(names, other) == "Ann"
    assert names.name_of(LOCK, old()) == "James"
    assert [device for device, _ in cloud.asked] == [DEVICE, "another"]


# -- failing


async def test_a_cloud_that_does_not_answer_is_asked_again_after_ten_minutes(
    clock: StillClock, cloud: FakeCloud
) -> None:
    cloud.error = CloudTimeout("No answer")
    names = Names(cloud, clock)
    for _ in range(3):
        assert await look(names, old()) is None
        clock.pass_time(300)
    assert cloud.times == [0, 600]
    cloud.error = None
    clock.pass_time(300)
    assert await look(names, old()) == "James"


async def test_a_cloud_that_refuses_is_asked_again_the_next_day(
    clock: StillClock, cloud: FakeCloud
) -> None:
    cloud.error = PermissionDenied("No")
    names = Names(cloud, clock)
    for _ in range(30):
        await look(names, taken(old(), clock))
        clock.pass_time(HOUR)
    assert cloud.times == [0, DAY]


async def test_what_was_known_stays_known_while_the_cloud_is_away(
    clock: StillClock, cloud: FakeCloud
) -> None:
    names = Names(cloud, clock)
    await look(names, old())
    cloud.error = CloudTimeout("No answer")
    clock.pass_time(5 * DAY)
    assert await look(names, old()) == "James"
    assert len(cloud.asked) == 2


async def test_a_name_that_the_cloud_took_back_is_gone(clock: StillClock, cloud: FakeCloud) -> None:
    names = Names(cloud, clock)
    await look(names, old())
    cloud.told = ()
    clock.pass_time(DAY)
    assert await look(names, old()) is None


# -- in the background


async def test_it_asks_by_itself_when_somebody_looks(clock: StillClock, cloud: FakeCloud) -> None:
    names = Names(cloud, clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(names.run)
        await anyio.wait_all_tasks_blocked()
        assert cloud.asked == []
        assert names.name_of(LOCK, old()) is None
        await anyio.wait_all_tasks_blocked()
        assert names.name_of(LOCK, old()) == "James"
        clock.pass_time(DAY)
        names.name_of(LOCK, old())
        names.name_of(LOCK, old())
        await anyio.wait_all_tasks_blocked()
        assert cloud.times == [0, DAY]
        tasks.cancel_scope.cancel()


async def test_it_can_be_made_and_looked_into_before_anything_runs(clock: StillClock) -> None:
    def outside() -> Names:
        names = Names(FakeCloud(clock), clock)
        names.name_of(LOCK, old())
        return names

    names = await anyio.to_thread.run_sync(outside)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(names.run)
        await anyio.wait_all_tasks_blocked()
        assert names.name_of(LOCK, old()) == "James"
        tasks.cancel_scope.cancel()


async def test_the_virtual_cloud_names_who_opened_the_virtual_lock() -> None:
    async with running() as pair:
        thumb = CloudCredential(dp_code="unlock_fingerprint", unlock_sn=3, unlock_name="thumb")
        pair.cloud.records.users[DEVICE] = [
            CloudUser(user_id="1", nick_name="James", lock_user_id=2, credentials=(thumb,))
        ]
        source: CredentialNames = pair.client
        names = Names(source, pair.clock)
        assert await look(names, old()) == "James"
        assert names.name_of(LOCK, old(2, RecordKind.BLUETOOTH)) == "James"
