"""Somebody with a central and the keys, who uses a virtual lock; every byte is real."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

from bleagent.simulator.actions import Action, Closed, HungUp, Notification, Opened
from bleagent.simulator.profiles import profile
from bleagent.simulator.quirks import Quirks
from bleagent.simulator.virtual_lock import AppName, VirtualLock
from protocol import Central, Datapoint, LockKeys, Outgoing, Secret
from protocol import events as ev
from protocol.credits import RecordAcks
from protocol.times import ClockAnswer

KEYS = LockKeys(
    uuid="tuya0123456789ab",
    virtual_id="bf0123456789abcdefghij",
    local_key=Secret("abcdef0123456789"),
    sec_key=Secret("secsecsecsecsec1"),
    auth_key=Secret("authauthauthauthauthauthauthauth"),
)
UNIX = 1_735_516_530
PERIPHERAL = 0x0005
CODE = b"52777950"
OPEN = bytes.fromhex("ffff0005") + CODE + b"\1" + UNIX.to_bytes(4, "big") + b"\0\7"
"""Open as member 7: central FFFF, the lock's id 0005, the code, now, by Bluetooth."""


class User:
    """``seen`` is what reached the central, ``happened`` what anybody at the door could see."""

    def __init__(
        self,
        name: str = "v3.0",
        *,
        app: AppName = AppName.LOCK,
        quirks: Quirks | None = None,
        code: bool = True,
    ) -> None:
        draws = count(1)
        chosen = profile(name)
        self.lock = VirtualLock(KEYS, chosen, app=app, quirks=quirks, clock=UNIX)
        if code:
            self.lock.preset_check_code(PERIPHERAL, CODE)
        self.central = Central(
            KEYS,
            new_iv=lambda: next(draws).to_bytes(16, "big"),
            dialect=chosen.dialect,
            att_payload=chosen.att_payload,
            record_acks=RecordAcks.FREE,
        )
        self.now = 0.0
        self.seen: list[ev.CentralEvent] = []
        self.happened: list[str] = []

    def enter(self, *, tell_time: bool = True) -> None:
        """From nothing to ready."""
        self.take(self.lock.connected(self.now), connect=True)
        self.hand(self.central.ask_device_info(self.now))
        self.hand(self.central.pair(self.now))
        asked = [one for one in self.seen if isinstance(one, ev.TimeAsked)]
        if asked and tell_time:
            answer = ClockAnswer((UNIX + int(self.now)) * 1000)
            self.hand(self.central.answer_time(asked[-1], answer, self.now))
        self.seen.clear()

    def leave(self) -> None:
        """The link ends."""
        self.take(self.lock.disconnected(self.now))
        self.central.disconnected()

    def hand(self, outgoing: Outgoing) -> None:
        """Write a message and take what comes back."""
        self.central.handed_over(outgoing)
        for fragment in outgoing.fragments:
            self.take(self.lock.write(fragment, self.now))

    def write(self, dp: int, data: bytes) -> int:
        """Write a raw datapoint; its number."""
        outgoing = self.central.write_datapoint(Datapoint.raw(dp, data), self.now)
        self.hand(outgoing)
        return outgoing.sn

    def ask(self, dp: int, data: bytes) -> bytes:
        """Write a datapoint; what the lock itself says about it, at once."""
        before = len(self.seen)
        self.write(dp, data)
        said = [one for one in self.seen[before:] if isinstance(one, ev.Reported)]
        replies = [one.report.datapoints[0] for one in said if one.report.time is None]
        assert len(replies) == 1, replies
        return replies[0].data

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now = round(self.now + seconds, 6)
        self.take(self.lock.tick(self.now))

    def local(self, **action: Any) -> None:
        """Something happens at the lock."""
        self.take(self.lock.local({"kind": "local", "local": action}, self.now))

    def power(self, word: str) -> None:
        """The supply is cut, or comes back."""
        self.take(self.lock.local({"kind": "power", "power": word}, self.now))

    def take(self, actions: Iterable[Action], *, connect: bool = False) -> None:
        """What the lock did."""
        if connect:
            self.central.connected()
        for action in actions:
            match action:
                case Notification():
                    self.lock.delivered(action, self.now)
                    self.seen += self.central.receive(action.value, self.now)
                case HungUp():
                    self.happened.append("hung up")
                    self.central.disconnected()
                case Opened():
                    self.happened.append("opened")
                case Closed():
                    self.happened.append("closed")

    @property
    def reports(self) -> list[ev.Reported]:
        """Everything reported since entering."""
        return [one for one in self.seen if isinstance(one, ev.Reported)]

    @property
    def records(self) -> list[tuple[int, int, bytes]]:
        """Time, datapoint and data of the timed reports since entering."""
        return [
            (
                int(one.report.time.seconds),
                one.report.datapoints[0].id,
                one.report.datapoints[0].data,
            )
            for one in self.reports
            if one.report.time is not None
        ]

    def acknowledge(self, status: int = 0) -> None:
        """Acknowledge the report that came last."""
        self.hand(self.central.acknowledge(self.reports[-1], self.now, status=status))
