"""Every strategy, both ways, and every field of the cloud's instruction (reference: safety B3-C6).

``sn_start`` is in test_unlock_rules, ``offline`` in test_offline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bleagent.model import Action
from bleagent.policy import CodeSource, DeviceRandom, LockVia
from bleagent.simulator.log import Actuated, Move, Received
from bleagent.simulator.profiles import PROFILE_NAMES
from bleagent.simulator.quirks import Quirks
from protocol import Datapoint, Dialect, Frame, InstructionAir, Secret
from protocol.commands import DpWrite, DpWriteV4
from protocol.lock import CheckCodeOperation, CheckCodeSet, OpenRequest
from tests.agent.stories import CALM, FIRST, IssuingCloud, ending, messages, rewire, told
from tests.agent.world import CODE, World, rehearse

BOLT = Quirks(reports_bolt=True)

# -- device_random


def test_the_cloud_is_told_the_issued_code_by_default() -> None:
    async def story(world: World) -> None:
        assert told(await world.operate()) == ("confirmed", "ok")
        assert [one.device_random.reveal() for one in world.cloud.asked] == [CODE.hex().encode()]

    rehearse(story)


def test_the_cloud_is_told_the_connections_random_where_that_is_configured() -> None:
    async def story(world: World) -> None:
        assert told(await world.operate()) == ("confirmed", "ok")
        (asked,) = world.cloud.asked
        assert len(bytes.fromhex(asked.device_random.reveal().decode())) == 6
        assert asked.device_random.reveal() != CODE.hex().encode()

    rehearse(story, device_random=DeviceRandom.CONNECTION_SRAND)


# -- code_source


def set_code(code: str, **other: int) -> Secret:
    """A check-code datapoint as the cloud issues it."""
    fields = {
        "central": 0xFFFF, "peripheral": 5, "new_central": 0xFFFF,
        "operation": int(CheckCodeOperation.ADD),
    } | other  # fmt: skip
    one = CheckCodeSet(code=Secret(bytes(8)), new_code=Secret(code), **fields)
    return Secret(one.to_bytes())


@pytest.mark.parametrize(
    ("source", "code"), [(CodeSource.WAKE_UP_INS, b"11111111"), (CodeSource.INS, b"22222222")]
)
def test_the_code_comes_from_the_configured_place(source: CodeSource, code: bytes) -> None:
    async def story(world: World) -> None:
        await remember(world, ins="22222222", wake_up_ins=set_code("11111111"))
        world.cloud.code = Secret(code)
        assert told(await world.operate()) == ("confirmed", "ok")
        assert world.lock.app.codes.matches(0xFFFF, code)  # type: ignore[attr-defined]

    rehearse(story, code_known=False, code_source=source)


@pytest.mark.parametrize(
    "spoiled",
    [
        set_code("52777950", operation=CheckCodeOperation.DELETE),
        set_code("52777950", central=1),
        set_code("52777950", new_central=2),
        Secret(b"short"),
    ],
    ids=["a deletion", "from another central", "for another central", "cut off"],
)
def test_a_check_code_that_is_not_ours_to_write_is_not_written(spoiled: Secret) -> None:
    async def story(world: World) -> None:
        await remember(world, ins="52777950", wake_up_ins=spoiled)
        assert told(await world.operate()) == ("unreached", "issued-config-unusable")
        assert [one for one in world.lock.log if isinstance(one, Received) and one.code == 2] == []
        assert world.cloud.asked == []

    rehearse(story, code_known=False)


async def remember(world: World, *, ins: str, wake_up_ins: Secret) -> None:
    """Let the cloud issue this from now on."""
    real = world.cloud
    config = await real.issued_config("virtual-door")
    assert config.lock_random is not None
    part = replace(config.lock_random, ins=Secret(ins), wake_up_ins=wake_up_ins)
    issued = replace(config, lock_random=part)
    rewire(world, cloud=IssuingCloud(real, issued))


# -- instruction_air


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_an_instruction_goes_out_as_it_was_sealed_by_default(name: str) -> None:
    async def story(world: World) -> None:
        assert told(await world.operate()) == ("confirmed", "ok")
        dialect = dialect_of(world)
        assert messages(world.radio.links[0])[-1][0] == dialect.login_flag

    rehearse(story, name)


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_a_resealed_instruction_leaves_nothing_reusable_on_the_air(name: str) -> None:
    async def story(world: World) -> None:
        assert told(await world.operate()) == ("confirmed", "ok")
        info, *after = (message[0] for message in messages(world.radio.links[0]))
        dialect = dialect_of(world)
        assert info == dialect.login_flag
        assert set(after) == {dialect.session_flag}
        assert len(after) >= 2

    rehearse(story, name, instruction_air=InstructionAir.RESEALED)


def dialect_of(world: World) -> Dialect:
    """How this lock is spoken to."""
    return world.cloud.dialect


# -- lock_via


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_a_door_is_locked_by_hand_and_the_bolt_confirms_it(name: str) -> None:
    async def story(world: World) -> None:
        record = await world.operate(action=Action.LOCK)
        assert told(record) == ("confirmed", "ok")
        assert [one.dp.value for one in world.actuations(Move.CLOSE)] == ["manual_lock"]
        assert world.cloud.asked == []
        assert world.cloud.config_calls == 0

    rehearse(story, name, quirks=BOLT)


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_a_door_is_locked_by_an_instruction_where_that_is_configured(name: str) -> None:
    quirks = Quirks(reports_bolt=True, closes_by_open_checked=True)

    async def story(world: World) -> None:
        record = await world.operate(action=Action.LOCK)
        assert told(record) == ("confirmed", "ok")
        assert [one.dp.value for one in world.actuations(Move.CLOSE)] == ["open_checked"]
        assert [one.open for one in world.cloud.asked] == [False]

    rehearse(story, name, quirks=quirks, lock_via=LockVia.DP71)


@pytest.mark.parametrize("via", LockVia)
@pytest.mark.parametrize(
    "quirks", [Quirks(closes_by_open_checked=True), Quirks(reports_bolt=True, silent_bolt=True)]
)
def test_a_bolt_that_says_nothing_leaves_locking_unconfirmed(via: LockVia, quirks: Quirks) -> None:
    async def story(world: World) -> None:
        record = await world.operate(action=Action.LOCK)
        assert told(record) == ("unconfirmed", "lock-silent")
        assert ending(record).steps["ack"] == pytest.approx(20.0, abs=0.5)

    rehearse(story, quirks=quirks, lock_via=via)


def test_the_slowest_bolt_is_waited_for() -> None:
    async def story(world: World) -> None:
        assert told(await world.operate(action=Action.LOCK)) == ("confirmed", "ok")

    rehearse(story, quirks=Quirks(reports_bolt=True, motor_time=17.0))


# -- every field of the instruction (B4)


def spoil(**fields: object) -> Callable[[OpenRequest], OpenRequest]:
    """An instruction with another value somewhere."""
    return lambda request: replace(request, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (spoil(central=1), "central"),
        (spoil(peripheral=6), "peripheral"),
        (spoil(code=Secret("00000000")), "check-code"),
        (spoil(operation=0), "operation"),
    ],
)
def test_an_instruction_with_another_field_is_not_sent(
    change: Callable[[OpenRequest], OpenRequest], field: str
) -> None:
    async def story(world: World) -> None:
        world.cloud.change = change
        await rejected(world, field)

    rehearse(story)


def with_datapoints(*datapoints: Datapoint) -> Callable[[Frame], Frame]:
    """Another list of datapoints in the old framing."""
    return lambda frame: replace(frame, data=DpWrite(datapoints).to_bytes())


OTHER = Datapoint.raw(70, bytes(23))
NEW_FRAMING = DpWriteV4((OTHER,), 1).to_bytes()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda frame: replace(frame, sn=frame.sn + 1), "sn"),
        (lambda frame: replace(frame, sn=1), "sn"),
        (lambda frame: replace(frame, code=0x0027, data=NEW_FRAMING), "command"),
        (lambda frame: replace(frame, code=0x0003, data=b""), "command"),
        (with_datapoints(OTHER), "datapoint"),
        (with_datapoints(OTHER, OTHER), "number-of-datapoints"),
        (with_datapoints(Datapoint.raw(71, b"short")), "opening"),
    ],
)
def test_an_instruction_in_another_frame_is_not_sent(
    change: Callable[[Frame], Frame], field: str
) -> None:
    async def story(world: World) -> None:
        world.cloud.change_frame = change
        await rejected(world, field)

    rehearse(story)


def test_an_instruction_for_another_lock_cannot_be_opened_and_is_not_sent() -> None:
    async def story(world: World) -> None:
        world.cloud.keys = replace(world.cloud.keys, local_key=Secret("another-lock-key"))
        await rejected(world, "seal")

    rehearse(story)


def test_an_instruction_of_another_version_is_not_sent() -> None:
    async def story(world: World) -> None:
        world.cloud.change_frame = lambda frame: replace(frame, data=b"\1" + frame.data[1:])
        found = ending(await world.operate())
        assert found.outcome == "unreached"
        assert found.code.startswith("instruction-rejected-")
        assert world.actuations() == []

    rehearse(story, "v4-20")


async def rejected(world: World, field: str) -> None:
    """It ends so, and nothing of it was written."""
    assert told(await world.operate()) == ("unreached", f"instruction-rejected-{field}")
    assert len(world.radio.links) == 1
    assert len(world.radio.links[0].written) == FIRST == CALM.instruction
    assert [one for one in world.lock.log if isinstance(one, Actuated)] == []
