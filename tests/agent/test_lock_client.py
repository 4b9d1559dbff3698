"""One connection: what comes in becomes events, what goes out keeps its order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest

from bleagent.errors import LinkLost, LinkTimeout, PairingRefused
from bleagent.lock_client import KEPT_ERRORS, MAX_EVENTS, LockClient, open_client
from bleagent.model import LockFacts
from bleagent.simulator.faults import Faults, NotifyFault, WriteFault
from bleagent.simulator.log import Received
from bleagent.simulator.profiles import PROFILE_NAMES
from bleagent.visit import time_answer
from protocol import Central, CommandCode, LocalProtocolError, LockKeys, Outgoing, Secret, State
from protocol import events as ev
from protocol.fragment import split
from tests.agent.stories import happens, numbers
from tests.agent.world import DOOR, KEYS, World, rehearse

FACTS = LockFacts(name=DOOR, device_id="virtual-door", keys=KEYS)
Talk = Callable[[World, LockClient], Awaitable[None]]


def connected(talk: Talk, name: str = "v3.0", *, keys: LockKeys = KEYS, **options: object) -> None:
    """A story on one connection, with a client and without any job."""

    async def story(world: World) -> None:
        async with world.radio.connect(FACTS) as link:
            central = Central(
                keys, new_iv=lambda: bytes(16), dialect=world.cloud.dialect,
                att_payload=link.att_payload,
            )  # fmt: skip
            async with open_client(central, link, world.clock) as client:
                await talk(world, client)

    rehearse(story, name, **options)


class Wire:
    """Implements ``ports.LockLink``: takes every write, and notifies what it is fed."""

    att_payload = 20

    def __init__(self, *values: bytes) -> None:
        self.values = list(values)
        self.written: list[bytes] = []

    async def write(self, value: bytes) -> None:
        """Take it, and let others run."""
        await anyio.lowlevel.checkpoint()
        self.written.append(value)

    async def notifications(self) -> AsyncIterator[bytes]:
        """What it was fed; then the link ends."""
        for value in self.values:
            yield value


# -- the handshake


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_a_handshake_leads_to_a_paired_lock(name: str) -> None:
    async def talk(world: World, client: LockClient) -> None:
        await client.handshake()
        assert client.central.state is State.READY
        assert world.lock.paired

    connected(talk, name)


def test_a_lock_that_cannot_read_us_is_given_up_after_two_seconds() -> None:
    async def talk(world: World, client: LockClient) -> None:
        with pytest.raises(LinkTimeout):
            await client.handshake()
        assert world.clock.now() == pytest.approx(2.0, abs=0.1)

    stale = LockKeys(
        uuid=KEYS.uuid, virtual_id=KEYS.virtual_id, local_key=Secret("0123456789abcdef"),
        sec_key=KEYS.sec_key, auth_key=KEYS.auth_key,
    )  # fmt: skip
    connected(talk, keys=stale)


def test_silence_after_pairing_is_given_up_after_three_seconds() -> None:
    async def talk(world: World, client: LockClient) -> None:
        with pytest.raises(LinkTimeout):
            await client.handshake()
        assert world.clock.now() == pytest.approx(3.0, abs=0.1)

    lost = dict.fromkeys(range(7, 40), NotifyFault.LOSE)
    connected(talk, faults=Faults(notifications=lost))


def test_another_locks_uuid_is_refused_by_the_lock() -> None:
    async def talk(world: World, client: LockClient) -> None:
        with pytest.raises(PairingRefused):
            await client.handshake()
        assert not world.lock.paired

    other = LockKeys(
        uuid="tuyaffffffffffff", virtual_id=KEYS.virtual_id, local_key=KEYS.local_key,
        sec_key=KEYS.sec_key, auth_key=KEYS.auth_key,
    )  # fmt: skip
    connected(talk, keys=other)


# -- what comes in


def test_rubbish_is_remembered_and_does_not_end_the_link() -> None:
    async def talk(world: World, client: LockClient) -> None:
        link = world.radio.links[0]
        for _ in range(3 * KEPT_ERRORS):
            link._send.send_nowait(b"\xff")
        await client.handshake()
        assert len(client.unreadable) == KEPT_ERRORS
        client.check_up()

    connected(talk)


def test_waiting_ends_with_the_link() -> None:
    async def talk(world: World, client: LockClient) -> None:
        await client.handshake()

        async def leave() -> None:
            await anyio.sleep(5)
            world.radio.links[0].down("out of range")

        async with anyio.create_task_group() as others:
            others.start_soon(leave)
            with pytest.raises(LinkLost):
                await client.wait(ev.Judged, world.clock.now() + 60)
        assert world.clock.now() == pytest.approx(5.0, abs=0.1)
        with pytest.raises(LinkLost):
            client.check_up()

    connected(talk)


def test_what_came_in_before_the_link_ended_can_still_be_had() -> None:
    async def talk(world: World, client: LockClient) -> None:
        await client.handshake()
        await happens(world, {"action": "record", "dp": 12, "value": 3})
        world.radio.links[0].down("out of range")
        await anyio.sleep(1)
        seen = await client.wait(ev.Reported, world.clock.now())
        assert [one.id for one in seen.report.datapoints] == [12]
        with pytest.raises(LinkLost):
            await client.wait(ev.Reported, world.clock.now() + 60)

    connected(talk)


def test_waiting_takes_the_first_event_that_passes_and_leaves_the_others() -> None:
    async def talk(world: World, client: LockClient) -> None:
        await client.handshake()
        for value in (1, 2, 3):
            await happens(world, {"action": "record", "dp": 12, "value": value})
        until_ = world.clock.now() + 1

        def is_2(event: ev.Reported) -> bool:
            return event.report.datapoints[0].data[-1] == 2

        second = await client.wait(ev.Reported, until_, is_2)
        assert is_2(second)
        left = [await client.wait(ev.Reported, until_) for _ in range(2)]
        assert [one.report.datapoints[0].data[-1] for one in left] == [1, 3]
        with pytest.raises(LinkTimeout):
            await client.wait(ev.Reported, until_)
        assert world.clock.now() == pytest.approx(until_)

    connected(talk)


def test_a_lock_that_floods_loses_its_link_and_not_our_memory() -> None:
    async def talk(world: World, client: LockClient) -> None:
        await client.handshake()
        for value in range(MAX_EVENTS + 1):
            await happens(world, {"action": "record", "dp": 12, "value": value})
        with pytest.raises(LinkLost):
            await client.wait(ev.Judged, world.clock.now() + 60)

    connected(talk)


# -- what goes out


def test_two_messages_at_once_do_not_mix_their_fragments() -> None:
    async def story(world: World) -> None:
        wire = Wire()
        central = Central(KEYS, new_iv=lambda: bytes(16))
        client = LockClient(central, wire, world.clock)

        def made(sn: int) -> Outgoing:
            fragments = split(bytes((sn,)) * 100, att_payload=20, major=3)
            return Outgoing(sn, CommandCode.DP_WRITE, 5, tuple(fragments))

        async with anyio.create_task_group() as senders:
            for sn in (1, 2, 3):
                senders.start_soon(client.send, lambda sn=sn: made(sn))
        whole = [fragment for sn in (1, 2, 3) for fragment in made(sn).fragments]
        assert wire.written == whole

    rehearse(story)


def test_time_answers_during_a_command_come_before_or_after_it() -> None:
    async def talk(world: World, client: LockClient) -> None:
        await client.handshake()
        asked = await client.wait(ev.TimeAsked, world.clock.now() + 1)
        central = client.central

        async def answer() -> None:
            await client.send(
                lambda: central.answer_time(
                    asked, time_answer(asked.code, world.clock), world.clock.now()
                )
            )

        async with anyio.create_task_group() as both:
            both.start_soon(client.send, central.query)
            both.start_soon(answer)
        assert codes(world)[3:] == [CommandCode.TIME_CLOCK]  # behind the question
        assert numbers(world, 1) == [1, 2, 3, 4]

    connected(talk, faults=Faults(writes={7: WriteFault.DELAY}))


def test_a_message_that_cannot_be_made_writes_nothing() -> None:
    async def talk(world: World, client: LockClient) -> None:
        with pytest.raises(LocalProtocolError):
            await client.send(client.central.query)  # not paired yet
        assert world.radio.links[0].written == []
        await client.handshake()  # and the connection is as good as before

    connected(talk)


class StopError(Exception):
    """Not now."""


def test_whoever_stops_the_last_fragment_keeps_it_from_the_lock() -> None:
    async def talk(world: World, client: LockClient) -> None:
        await client.handshake()
        link = world.radio.links[0]
        before = len(link.written)

        def stop() -> None:
            raise StopError

        with pytest.raises(StopError):
            await client.send(client.central.query, stop)
        assert len(link.written) - before == 1  # of two
        await anyio.sleep(1)
        assert numbers(world, 1) == [1, 2]  # the handshake's

    connected(talk)


def test_the_last_word_is_asked_for_right_before_the_last_fragment() -> None:
    async def talk(world: World, client: LockClient) -> None:
        await client.handshake()
        link = world.radio.links[0]
        seen: list[int] = []
        before = len(link.written)
        outgoing = await client.send(
            client.central.query, lambda: seen.append(len(link.written) - before)
        )
        assert seen == [len(outgoing.fragments) - 1] == [1]
        assert numbers(world, 1) == [1, 2, outgoing.sn]

    connected(talk)


def codes(world: World) -> list[int | None]:
    """The commands that the lock took."""
    return [one.code for one in world.lock.log if isinstance(one, Received)]
