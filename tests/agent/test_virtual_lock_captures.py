"""The virtual lock in place of the recorded one: every packet of every recording, byte for byte.

The recording gives the random numbers and what was done to the lock (writes, people, power);
what the lock does then is its own. Recordings: ``tests/captures/firmware/README.md``.
"""

from __future__ import annotations

from collections import deque

import pytest

from bleagent.simulator.actions import Action, HungUp, Notification
from bleagent.simulator.virtual_lock import AppName, VirtualLock
from protocol import CommandCode, Sender
from protocol.capture import Capture, Event, Kind
from tests.codec.replay import FILES, _srands, firmware_of, ivs, load


def clock_of(capture: Capture) -> int:
    """The time of a security V2 lock: nothing that the central says tells it."""
    for event in capture.events:
        if event.frame is not None and event.frame.code == CommandCode.REPORT_TIMED_V4:
            return int.from_bytes(event.frame.data[8:12], "big")
    return 0


def virtual_lock(capture: Capture) -> VirtualLock:
    firmware = firmware_of(capture)
    return VirtualLock(
        capture.header.keys,
        firmware,
        bound=capture.header.bound,
        app=AppName.LOCK if firmware.name == "3.0" else AppName.ECHO,
        clock=clock_of(capture) if firmware.security_v2 else 0,
        new_iv=ivs(capture, Sender.LOCK).popleft,
        new_srand=deque(_srands(capture)).popleft,
    )


def happen(lock: VirtualLock, event: Event) -> list[Action]:
    if event.sender is Sender.LOCK and event.kind in (Kind.NOTIFY, Kind.DISCONNECT):
        return lock.tick(event.t)
    match event.kind:
        case Kind.CONNECT:
            return lock.connected(event.t)
        case Kind.DISCONNECT:
            return lock.disconnected(event.t)
        case Kind.WRITE:
            assert event.value is not None
            return lock.write(event.value, event.t)
        case _:
            return lock.local(event.to_json(), event.t)


def words(actions: list[Action]) -> list[str]:
    return [
        one.value.hex() if isinstance(one, Notification) else "disconnect"
        for one in actions
        if isinstance(one, Notification | HungUp)
    ]


@pytest.mark.parametrize("name", FILES)
def test_the_virtual_lock_does_what_the_recorded_one_did(name: str) -> None:
    capture = load(name)
    lock = virtual_lock(capture)
    waiting: deque[str] = deque()
    for event in capture.events:
        said = words(happen(lock, event))
        if event.sender is Sender.LOCK and event.kind in (Kind.NOTIFY, Kind.DISCONNECT):
            waiting += said
            expected = "disconnect" if event.value is None else event.value.hex()
            assert waiting, f"line {event.line}: the recorded lock spoke, ours did not"
            assert waiting.popleft() == expected, f"line {event.line}"
        else:
            assert not waiting, f"before line {event.line} ours said more than was recorded"
            waiting += said
    assert not waiting


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("lock-")])
def test_nothing_is_left_to_do_later_that_the_recording_would_have_shown(name: str) -> None:
    capture = load(name)
    lock = virtual_lock(capture)
    for event in capture.events:
        happen(lock, event)
    due = lock.next_timer()
    assert due is None or due > capture.events[-1].t


def test_the_openings_counted_are_those_that_the_recordings_show() -> None:
    # By result: DP71 and its twin DP72 with operation 1 and result 0, DP61 with 0, DP6 with 1.
    for name in FILES:
        capture = load(name)
        lock = virtual_lock(capture)
        accepted = 0
        for event in capture.events:
            happen(lock, event)
            frame = event.frame
            if frame is None or event.sender is not Sender.LOCK or frame.code != 0x8001:
                continue
            dp, data = frame.data[0], frame.data[3:]
            if dp in (71, 72):
                accepted += data[12] == 1 and data[18] == 0
            elif dp in (6, 61):
                accepted += data[0] == (dp == 6)
        if capture.header.protocol == "3.0":
            assert lock.dump()["opened"] == accepted == len(lock.log.openings()), name
        else:
            assert lock.dump()["opened"] == 0
