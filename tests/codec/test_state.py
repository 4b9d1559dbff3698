"""The tables of states, walked whole; and every state under a rain of garbage."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from protocol import events as ev
from protocol.central import Central
from protocol.commands import CommandCode
from protocol.datapoint import Datapoint
from protocol.device_info import DeviceInfo
from protocol.errors import LocalProtocolError, RemoteProtocolError, SealError
from protocol.fragment import split
from protocol.frame import Frame
from protocol.keys import KeyRing, SecurityFlag
from protocol.message import close_frame
from protocol.reports import Report
from protocol.state import CENTRAL, PERIPHERAL, State, Step, Transitions, advance, allowed
from tests.codec.pair import KEYS, PROFILES, Pair

TABLES = {"central": CENTRAL, "peripheral": PERIPHERAL}
tables = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
everything = pytest.mark.parametrize("step", Step)
CODES = [*CommandCode, 0x0099, 0x7777, 0xFFFF]


# -- the tables themselves


@tables
@everything
@pytest.mark.parametrize("state", State)
def test_a_legal_step_advances_and_any_other_raises(
    table: Transitions, state: State, step: Step
) -> None:
    target = table.get(state, {}).get(step)
    assert allowed(table, state, step) is (target is not None)
    if target is not None:
        assert advance(table, state, step) is target
        return
    with pytest.raises(LocalProtocolError, match=f"{step} is not legal while {state}"):
        advance(table, state, step)


def edges(table: Transitions) -> Iterator[tuple[State, Step, State]]:
    for state, steps in table.items():
        for step, target in steps.items():
            yield state, step, target


@tables
def test_ready_is_entered_through_pairing_only(table: Transitions) -> None:
    doors = {(state, step) for state, step, target in edges(table) if target is State.READY}
    entries = {(state, step) for state, step in doors if state is not State.READY}
    assert {step for _, step in entries} == {Step.PAIRED}
    # And pairing needs device information first.
    assert {state for state, _ in entries} <= {State.PAIR_ASKED, State.KEYED}
    keyed = {step for _, step, target in edges(table) if target is State.KEYED}
    assert Step.CONNECT not in keyed


@tables
def test_commands_are_legal_only_when_ready(table: Transitions) -> None:
    assert [state for state in State if allowed(table, state, Step.COMMAND)] == [State.READY]


@tables
def test_every_state_is_reached_and_left_by_a_disconnect(table: Transitions) -> None:
    assert {target for _, _, target in edges(table)} == set(table)
    for state in table:
        assert table[state][Step.DISCONNECT] is State.IDLE


def test_the_central_knows_every_state_and_step() -> None:
    assert set(CENTRAL) == set(State)
    assert {step for _, step, _ in edges(CENTRAL)} == set(Step)


def test_an_unbinding_without_pairing_needs_device_information() -> None:
    assert [one for one in State if allowed(CENTRAL, one, Step.ANOMALY_UNBIND)] == [State.KEYED]


# -- the central walks its table


def at(state: State, profile: str = "v3.0", *, bound: bool = True) -> Pair:
    """Both sides, brought to a state of the central."""
    pair = Pair(PROFILES[profile], bound=bound)
    if state is State.IDLE:
        return pair
    pair.connect()
    if state is State.CONNECTED:
        return pair
    asked = pair.central.ask_device_info(pair.now, bound=bound)
    if state is State.INFO_ASKED:
        return pair
    pair.deliver(asked)
    if state is State.KEYED:
        return pair
    asked = pair.central.pair(pair.now)
    if state is State.PAIR_ASKED:
        return pair
    if state is State.REFUSED:
        tell(pair, CommandCode.PAIR, b"\1", ack_sn=asked.sn)
        return pair
    pair.deliver(asked)
    return pair


def tell(pair: Pair, code: int, data: bytes, *, ack_sn: int = 0, sn: int = 50) -> None:
    """Something that only the holder of the lock's keys can say to the central."""
    flag = pair.central.dialect.session_flag
    ring = pair.central._session.ring
    message = close_frame(Frame(sn, ack_sn, code, data), flag=flag, ring=ring, iv=bytes(16))
    for fragment in split(message, att_payload=20, major=3):
        pair.central.receive(fragment, pair.now)


STEPS: dict[Step, Callable[[Pair], object]] = {
    Step.CONNECT: lambda pair: pair.central.connected(),
    Step.ASK_INFO: lambda pair: pair.central.ask_device_info(0.0),
    Step.ASK_PAIR: lambda pair: pair.central.pair(0.0),
    Step.COMMAND: lambda pair: pair.central.query(),
    Step.ANOMALY_UNBIND: lambda pair: pair.central.unbind_anomaly(),
    Step.DISCONNECT: lambda pair: pair.central.disconnected(),
}
COMMANDS: list[Callable[[Pair], object]] = [
    lambda pair: pair.central.send(CommandCode.UNBIND),
    lambda pair: pair.central.query((1, 2)),
    lambda pair: pair.central.write_datapoint(Datapoint.boolean(46, True), 0.0),
    lambda pair: pair.central.acknowledge(ev.Reported(9, Report(code=0x8001, datapoints=())), 0.0),
    lambda pair: pair.central.reserve(),
]


def facts(pair: Pair) -> tuple[object, ...]:
    central = pair.central
    session = central._session
    return (
        central.state,
        central.last_sn,
        central.own_numbers_left,
        central.deadline(),
        central.dialect,
        central.info,
        session.ring.srand,
        session.ring.server_rand,
        session.asked,
        dict(session.sent),
        session.lock_sn,
    )


@pytest.mark.parametrize("profile", ["v3.0", "v4-244", "secv2-20"])
@pytest.mark.parametrize("state", State)
def test_the_helper_reaches_each_state(state: State, profile: str) -> None:
    assert at(state, profile).central.state is state


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", STEPS)
def test_the_central_takes_legal_steps_and_refuses_all_others_unchanged(
    state: State, step: Step
) -> None:
    pair = at(state)
    before = facts(pair)
    target = CENTRAL[state].get(step)
    if target is not None:
        STEPS[step](pair)
        assert pair.central.state is target
        return
    with pytest.raises(LocalProtocolError, match="not legal"):
        STEPS[step](pair)
    assert facts(pair) == before


@pytest.mark.parametrize("state", [state for state in State if state is not State.READY])
@pytest.mark.parametrize("command", range(len(COMMANDS)))
def test_no_command_leaves_before_pairing(state: State, command: int) -> None:
    pair = at(state)
    before = facts(pair)
    with pytest.raises(LocalProtocolError, match="not legal"):
        COMMANDS[command](pair)
    assert facts(pair) == before


@pytest.mark.parametrize("command", range(len(COMMANDS)))
def test_every_command_leaves_when_ready(command: int) -> None:
    assert COMMANDS[command](at(State.READY))


@pytest.mark.parametrize("state", [one for one in State if one is not State.IDLE])
def test_an_answer_that_nobody_asked_for_moves_nothing(state: State) -> None:
    # The three steps that the lock takes: information, paired, refused. Wrong ack_sn, or wrong
    # state; under keys that are right.
    info = DeviceInfo.from_bytes(bytes.fromhex("0303030000") + b"\1newran" + bytes(65))
    pair = at(state)
    flags = [SecurityFlag.LOGIN]
    if pair.central._session.ring.srand is not None:
        flags.append(SecurityFlag.SESSION)
    sn = 60
    for flag in flags:
        for code, data in ((0, info.to_bytes()), (1, b"\0"), (1, b"\1"), (1, b"\2")):
            asked = pair.central._session.asked
            for ack_sn in {0, 1, 2, 3, 77} - ({asked.sn} if asked else set()):
                sn += 1
                frame = Frame(sn, ack_sn, code, data)
                ring = pair.central._session.ring
                message = close_frame(frame, flag=flag, ring=ring, iv=bytes(16))
                for fragment in split(message, att_payload=244, major=3):
                    pair.central.receive(fragment, pair.now)
                assert pair.central.state is state
    assert pair.central.info is None or pair.central.info.srand != info.srand


def test_a_question_without_its_key_changes_nothing() -> None:
    keys = replace(KEYS, auth_key=None)
    central = Central(keys, new_iv=lambda: bytes(16))
    central.connected()
    with pytest.raises(LocalProtocolError, match="auth_key"):
        central.ask_device_info(0.0, bound=False)
    assert (central.state, central.last_sn, central.deadline()) == (State.CONNECTED, 0, None)
    assert central._session.ring.server_rand is None
    assert central.ask_device_info(0.0).sn == 1


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_source_of_ivs_that_gives_another_length_is_our_bug(bound: bool, size: int) -> None:
    central = Central(KEYS, new_iv=lambda: bytes(size))
    central.connected()
    with pytest.raises(LocalProtocolError):
        central.ask_device_info(0.0, bound=bound)
    assert (central.state, central.last_sn) == (State.CONNECTED, 0)
    assert central._session.ring.server_rand is None


def test_nothing_is_received_without_a_connection() -> None:
    pair = Pair()
    with pytest.raises(LocalProtocolError):
        pair.central.receive(b"\0", 0.0)
    with pytest.raises(LocalProtocolError):
        pair.lock.receive_write(b"\0", 0.0)


# -- the lock walks its own


@pytest.mark.parametrize("profile", PROFILES)
def test_the_lock_goes_from_idle_to_ready_and_back(profile: str) -> None:
    pair = Pair(PROFILES[profile])
    states = [pair.lock.state]
    pair.connect()
    states.append(pair.lock.state)
    pair.deliver(pair.central.ask_device_info(pair.now))
    states.append(pair.lock.state)
    pair.deliver(pair.central.pair(pair.now))
    states.append(pair.lock.state)
    pair.lock.disconnected()
    states.append(pair.lock.state)
    assert states == [State.IDLE, State.CONNECTED, State.KEYED, State.READY, State.IDLE]


@pytest.mark.parametrize("state", [State.CONNECTED, State.KEYED, State.READY])
def test_a_lock_is_connected_once(state: State) -> None:
    pair = at(state)
    with pytest.raises(LocalProtocolError, match="connect is not legal"):
        pair.lock.connected(0.0)
    assert pair.lock.state is state


@pytest.mark.parametrize("state", [State.CONNECTED, State.KEYED])
@pytest.mark.parametrize("code", [CommandCode.DP_WRITE, CommandCode.DP_QUERY, CommandCode.UNBIND])
def test_a_lock_drops_commands_before_pairing_without_a_word(
    state: State, code: CommandCode
) -> None:
    pair = at(state)
    told = write(pair, Frame(50, 0, code, b""), SecurityFlag.LOGIN)
    assert [type(event) for event in told] == [ev.Dropped]
    assert (pair.lock.state, pair.lock.last_sn) == (state, 50)  # the number is used up


def test_pairing_before_device_information_is_dropped() -> None:
    pair = at(State.CONNECTED)
    told = write(pair, Frame(50, 0, CommandCode.PAIR, KEYS.uuid16 + bytes(28)), SecurityFlag.LOGIN)
    assert [type(event) for event in told] == [ev.Dropped]
    assert pair.lock.state is State.CONNECTED


# -- plaintext


@pytest.mark.parametrize("profile", ["v3.0", "v3.3", "v4-20"])
@pytest.mark.parametrize("bound", [False, True])
def test_only_a_lock_that_is_not_bound_takes_plaintext(profile: str, bound: bool) -> None:
    # Reference: protocol §3, flag 0. 3.x ignores the two bytes that 4.x insists on.
    pair = at(State.CONNECTED, profile, bound=bound)
    message = b"\0" + Frame(1, 0, CommandCode.DEVICE_INFO, b"\0\x14").to_bytes()
    told = [type(event) for event in pour(pair, message)]
    assert told == [ev.Dropped if bound else ev.Notify]
    assert pair.lock.state is (State.CONNECTED if bound else State.KEYED)


@pytest.mark.parametrize("sn", [60, 2**32 - 1])
@pytest.mark.parametrize("profile", PROFILES)
def test_the_central_of_a_bound_lock_takes_no_plaintext(profile: str, sn: int) -> None:
    # Anybody could say it: a record that never happened, or a number above which the lock's
    # own frames are no longer heard.
    pair = at(State.READY, profile)
    before = facts(pair)
    report = Report(code=0x8001, datapoints=(Datapoint.boolean(47, False),))
    message = b"\0" + Frame(sn, 0, report.code, report.to_bytes()).to_bytes()
    heard: list[ev.CentralEvent] = []
    with contextlib.suppress(RemoteProtocolError):
        for fragment in split(message, att_payload=20, major=3):
            heard += pair.central.receive(fragment, pair.now)
    assert heard == []
    assert facts(pair) == before


# -- garbage


def seal_for(pair: Pair, frame: Frame, flag: int) -> bytes:
    """A frame sealed by somebody who knows every key that the lock has now.

    Raises:
        SealError: the lock has no such key itself.
        LocalProtocolError: too short for flag 0.
    """
    ring, iv = pair.lock._ring, bytes(range(16))
    known = KeyRing(ring.keys, ring.double_md5_auth, ring.srand, ring.server_rand)
    if flag in (1, 11, 16):
        known.learn_server_rand(iv)
    return close_frame(frame, flag=flag, ring=known, iv=iv)


def pour(pair: Pair, message: bytes) -> list[ev.PeripheralEvent]:
    """Write a sealed message to the lock."""
    told: list[ev.PeripheralEvent] = []
    for fragment in split(message, att_payload=20, major=3):
        told += pair.lock.receive_write(fragment, pair.now)
    return told


def write(pair: Pair, frame: Frame, flag: int) -> list[ev.PeripheralEvent]:
    """Write a frame to the lock."""
    return pour(pair, seal_for(pair, frame, flag))


def noise(rng: random.Random) -> list[bytes]:
    """A few packets that nobody sealed."""
    match rng.randrange(4):
        case 0:
            return [rng.randbytes(rng.randrange(24))]
        case 1:  # whole messages, right on the outside
            flag = rng.choice([0, 1, 2, 4, 5, 11, 12, 14, 15, 16, rng.randrange(256)])
            body = rng.randbytes(rng.choice([0, 1, 2, 15, 16, 17, 32, 48, 64, 120]))
            return split(bytes((flag,)) + body, att_payload=20, major=3)
        case 2:
            fragments = split(rng.randbytes(rng.randrange(1, 200)), att_payload=20, major=4)
            return rng.choices(fragments, k=len(fragments))
        case _:
            return [bytes((rng.randrange(4), rng.randrange(256), rng.randrange(256)))]


def nonsense(rng: random.Random, sn: int) -> Frame:
    """A frame whose content makes no sense, though somebody with the keys sealed it."""
    data = rng.choice(
        [
            b"",
            rng.randbytes(rng.randrange(1, 8)),
            rng.randbytes(rng.randrange(8, 130)),
            KEYS.uuid16 + rng.randbytes(rng.randrange(64)),
            bytes(rng.randrange(130)),
            b"\1" * rng.randrange(130),
        ]
    )
    return Frame(sn, rng.randrange(8), rng.choice(CODES), data)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("state", [one for one in State if one is not State.IDLE])
def test_noise_raises_a_remote_error_at_the_central_and_changes_nothing(
    state: State, profile: str
) -> None:
    rng = random.Random(f"{state} {profile}")
    pair = at(state, profile)
    before = facts(pair)
    refused = 0
    for _ in range(60):
        for packet in noise(rng):
            try:
                assert pair.central.receive(packet, pair.now) == []
            except RemoteProtocolError:
                refused += 1
    assert refused > 20
    assert facts(pair) == before


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("state", [one for one in State if one is not State.IDLE])
def test_sealed_nonsense_ends_in_events_or_a_remote_error_at_the_central(
    state: State, profile: str
) -> None:
    rng = random.Random(f"{state} {profile}")
    heard = refused = 0
    pair = at(state, profile)
    for sn in range(100, 250):
        ring = pair.central._session.ring
        flag = rng.choice(sorted(pair.central.dialect.known_flags - {0}))
        try:
            message = close_frame(nonsense(rng, sn), flag=flag, ring=ring, iv=bytes(16))
        except SealError:
            continue  # no such key at this point, for anybody
        for fragment in split(message, att_payload=244, major=4):
            before = facts(pair)
            try:
                heard += len(pair.central.receive(fragment, pair.now))
            except RemoteProtocolError:
                refused += 1
                assert facts(pair) == before
    assert heard > 0
    assert refused > 0
    assert pair.central.state in State


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("state", [State.CONNECTED, State.KEYED, State.READY])
def test_noise_at_the_lock_raises_nothing_and_moves_nothing(
    state: State, bound: bool, profile: str
) -> None:
    rng = random.Random(f"{state} {profile} {bound}")
    pair = at(state, profile, bound=bound)
    before = pair.lock.state, pair.lock.last_sn
    for _ in range(60):
        for packet in noise(rng):
            for event in pair.lock.receive_write(packet, pair.now):
                assert isinstance(event, ev.Dropped)
    assert (pair.lock.state, pair.lock.last_sn) == before


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("state", [State.CONNECTED, State.KEYED, State.READY])
def test_a_lock_answers_as_before_after_noise(state: State, bound: bool, profile: str) -> None:
    rng = random.Random(f"{state} {profile} {bound} again")
    pair = at(state, profile, bound=bound)
    for _ in range(20):
        for packet in noise(rng):
            pair.lock.receive_write(packet, pair.now)
    if state is State.READY:
        seen = pair.deliver(pair.central.query())
        assert any(isinstance(event, ev.Answered) for event in seen)
        return
    seen = pair.deliver(pair.central.ask_device_info(pair.now, bound=bound))
    assert [type(event) for event in seen] == [ev.DeviceInfoReceived]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("state", [State.CONNECTED, State.KEYED, State.READY])
def test_sealed_nonsense_at_the_lock_raises_nothing(
    state: State, bound: bool, profile: str
) -> None:
    rng = random.Random(f"{state} {profile} {bound}")
    kinds: set[type] = set()
    for _ in range(4):
        pair = at(state, profile, bound=bound)
        for sn in range(100, 160):
            flag = rng.choice(sorted(pair.central.dialect.known_flags))
            try:
                message = seal_for(pair, nonsense(rng, sn), flag)
            except (SealError, LocalProtocolError):
                continue  # nobody could send it
            kinds |= {type(event) for event in pour(pair, message)}
    assert ev.Dropped in kinds


# The same, one by one: what the rain above found.


@pytest.mark.parametrize("profile", ["v3.3", "v4-20", "secv2-20"])
def test_a_message_too_short_for_its_iv_teaches_the_lock_nothing(profile: str) -> None:
    pair = at(State.CONNECTED, profile)
    flag = 11 if profile.startswith("secv2") else 1
    told = pour(pair, bytes((flag, 2, 3)))
    assert [type(event) for event in told] == [ev.Dropped]
    seen = pair.deliver(pair.central.ask_device_info(pair.now))
    assert [type(event) for event in seen] == [ev.DeviceInfoReceived]


@pytest.mark.parametrize("code", [CommandCode.PAIR, CommandCode.ANOMALY_UNBIND])
def test_a_short_answer_to_plaintext_raises_nothing(code: CommandCode) -> None:
    # A frame with one byte of data has 16 bytes under flag 0, and 17 is the least.
    pair = at(State.KEYED, "v3.3", bound=False)
    told = pour(pair, b"\0" + Frame(50, 0, code, b"x" * 46).to_bytes())
    assert told


def test_a_lock_that_was_unbound_and_not_hung_up_yet_raises_nothing() -> None:
    pair = at(State.READY, "v3.3")
    assert ev.Unbound in {
        type(one) for one in write(pair, Frame(50, 0, CommandCode.UNBIND, b""), 5)
    }
    for sn, code in enumerate((CommandCode.DP_WRITE, CommandCode.DP_QUERY, CommandCode.UNBIND), 51):
        told = write(pair, Frame(sn, 0, code, bytes.fromhex("2e010101")), SecurityFlag.AUTH)
        assert ev.Dropped in {type(event) for event in told}  # it has no key to answer with
