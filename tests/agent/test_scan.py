"""What ``bleagent scan`` shows, in virtual time over a fake Bluetooth stack."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from bleagent.commands.scan import (
    HELP_AFTER,
    NOTHING_HEARD,
    Changes,
    FinalList,
    ScanOptions,
    TableView,
    View,
    known_locks,
    listen,
    view_for,
)
from bleagent.errors import RadioUnavailable
from bleagent.model import LockFacts
from bleagent.printable import printable
from bleagent.radio.nearby import Nearby
from bleagent.radio.sightings import Sightings
from bleagent.simulator import virtual_time
from bleagent.simulator.air import AirLock
from bleagent.simulator.fake_bluetooth import FakeBluetooth
from bleagent.simulator.fakes import LoopClock
from protocol import LockKeys

from .air_world import FRONT, ROGUE, keys

ROOT = Path(__file__).resolve().parents[2]
Change = Callable[[FakeBluetooth], None]


def scanned(
    view: View,
    *around: AirLock,
    options: ScanOptions | None = None,
    locks: tuple[LockFacts, ...] = (),
    later: tuple[float, Change] | None = None,
    adapters: tuple[str, ...] = ("hci0",),
) -> bool:
    """Scan in virtual time; ``later`` happens after so many seconds."""
    chosen = ScanOptions(seconds=10) if options is None else options

    async def main() -> bool:
        async with anyio.create_task_group() as tasks:
            bluetooth = FakeBluetooth(tasks, LoopClock(), list(around), adapters)
            if later is not None:
                tasks.start_soon(do_later, bluetooth, *later)
            heard = await listen(
                bluetooth, LoopClock(), Sightings(locks), view, chosen, anyio.Event()
            )
            assert not any(one.scanning for one in bluetooth.adapter.values())
            tasks.cancel_scope.cancel()
        return heard

    async def do_later(bluetooth: FakeBluetooth, seconds: float, change: Change) -> None:
        await anyio.sleep(seconds)
        change(bluetooth)

    return virtual_time.run(main)


def lock(**more: object) -> AirLock:
    found = AirLock(address=FRONT, keys=keys())
    for name, value in more.items():
        setattr(found, name, value)
    return found


def test_the_final_list_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    other = AirLock(address=ROGUE, keys=keys(2), bound=False, rssi={"hci0": -81})
    front = LockFacts(name="front", device_id="d", keys=LockKeys(uuid=keys().uuid))
    assert scanned(FinalList(), other, lock(wants_connection=True), locks=(front,))
    out, err = capsys.readouterr()
    known, unknown = (json.loads(line) for line in out.splitlines())
    assert err == ""
    assert known == {
        "address": FRONT,
        "name": "TY",
        "rssi": -60,
        "adapter": "hci0",
        "generation": "v4",
        "protocol": 4,
        "security_v2": False,
        "bound": True,
        "wants_connection": True,
        "uuid": keys().uuid,
        "known_as": ["front"],
        "claim": "uuid",
        "age": known["age"],
    }
    assert 0 <= known["age"] < 1
    assert (unknown["address"], unknown["bound"], unknown["known_as"]) == (ROGUE, False, [])


def test_lines_are_written_when_something_is_new(capsys: pytest.CaptureFixture[str]) -> None:
    def wish(bluetooth: FakeBluetooth) -> None:
        bluetooth.locks[0].wants_connection = True

    line = view_for(ScanOptions())
    assert scanned(line, lock(), options=ScanOptions(seconds=8), later=(4.0, wish))
    first, second = capsys.readouterr().out.splitlines()
    assert first == f'{FRONT}  -60 dBm by hci0  v4/4  bound  calls itself "TY"'
    assert "wants a connection" in second


def test_following_repeats_who_is_still_there(capsys: pytest.CaptureFixture[str]) -> None:
    def leave(bluetooth: FakeBluetooth) -> None:
        bluetooth.locks[0].powered = False

    follow = view_for(ScanOptions(as_json=True, follow=True))
    assert scanned(follow, lock(), options=ScanOptions(seconds=100), later=(35.0, leave))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) in (4, 5)
    assert {line["address"] for line in lines} == {FRONT}


@pytest.mark.parametrize("view", [FinalList, lambda: Changes(str)])
@pytest.mark.parametrize("seconds", [HELP_AFTER - 2, HELP_AFTER + 20])
def test_who_hears_nothing_is_helped_once(
    view: Callable[[], View], seconds: float, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not scanned(view(), options=ScanOptions(seconds=seconds))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"bleagent scan: {NOTHING_HEARD}\n"


def test_the_table_shows_every_lock_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    front = LockFacts(name="front", device_id="d", keys=LockKeys(uuid=keys().uuid))
    secure = AirLock(address=ROGUE, keys=keys(2), security_v2=True)
    assert scanned(TableView(), lock(), secure, locks=(front,))
    out = capsys.readouterr().out
    for text in ("known as", "front", FRONT, "-60", "v4/4", "v4/4 sec-v2"):
        assert text in out


def test_a_table_without_locks_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert not scanned(TableView())
    assert "wake it at its keypad" in capsys.readouterr().err


def test_a_name_from_the_air_cannot_act_on_a_terminal() -> None:
    assert printable("TY\0\0") == "TY"
    assert printable("\x1b[2Jlock\n\u202e\ufffd") == "?[2Jlock??\ufffd"


@pytest.mark.parametrize(
    ("adapter", "powered", "said"),
    [
        ("hci7", True, "there is no adapter hci7; there is hci0, hci1"),
        (None, False, "no Bluetooth adapter is powered; there is hci0, hci1"),
    ],
)
def test_what_is_wrong_with_the_adapters_is_said(
    adapter: str | None, powered: bool, said: str
) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            bluetooth = FakeBluetooth(tasks, LoopClock(), [], ("hci0", "hci1"))
            for one in bluetooth.adapter.values():
                one.powered = powered
            with pytest.raises(RadioUnavailable, match=said):
                await listen(
                    bluetooth, LoopClock(), Sightings(), FinalList(),
                    ScanOptions(seconds=1, adapter=adapter), anyio.Event(),
                )  # fmt: skip

    virtual_time.run(main)


def test_an_adapter_that_goes_away_ends_it_with_what_was_heard(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        scanned(FinalList(), lock(), later=(3.0, lambda bluetooth: bluetooth.unplug("hci0")))
    assert caught.group_contains(RadioUnavailable, match="hci0 is gone")
    assert FRONT in capsys.readouterr().out


def test_it_listens_on_every_powered_adapter_or_on_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = {"hci0": -80, "hci1": -50}
    for adapter, best in ((None, "hci1"), ("hci0", "hci0")):
        options = ScanOptions(seconds=3, adapter=adapter)
        assert scanned(FinalList(), lock(rssi=both), options=options, adapters=("hci0", "hci1"))
        assert json.loads(capsys.readouterr().out)["adapter"] == best


def test_the_locks_of_a_configuration_are_known_without_their_keys() -> None:
    (front,) = known_locks(ROOT / "systemd" / "config.example.toml")
    assert front.name == "front-door"
    assert front.keys.local_key is None


def test_a_lock_says_what_is_known_of_it() -> None:
    one = Nearby(
        address=FRONT, name=None, rssi=-1, adapter="hci0", generation="v3", protocol=None,
        security_v2=None, bound=None, wants_connection=False, uuid=None, known_as=(), claim=None,
        age=0.0,
    )  # fmt: skip
    assert (one.kind, one.bound_or_not) == ("v3", "?")
