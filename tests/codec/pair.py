"""A central and a lock's side that talk to each other in memory; every byte is real."""

from __future__ import annotations

from itertools import count

from protocol import Central, LockKeys, Peripheral, Secret
from protocol import events as ev
from protocol.credits import RecordAcks
from protocol.firmware import Firmware, firmware
from protocol.message import Outgoing

KEYS = LockKeys(
    uuid="tuya0123456789ab",
    virtual_id="bf0123456789abcdefghij",
    local_key=Secret("abcdef0123456789"),
    sec_key=Secret("secsecsecsecsec1"),
    auth_key=Secret("authauthauthauthauthauthauthauth"),
)
PROFILES = {
    "v3.0": firmware("3.0"),
    "v3.3": firmware("3.3"),
    "v4-20": firmware("4.4"),
    "v4-244": firmware("4.4", att_payload=244),
    "secv2-20": firmware("secv2"),
    "secv2-244": firmware("secv2", att_payload=244),
}


class Pair:
    """Both roles, wired together. ``lock_events`` keeps what the lock's application saw."""

    def __init__(
        self,
        found: Firmware = PROFILES["v3.0"],
        *,
        bound: bool = True,
        sn_start: int = 1,
        record_acks: RecordAcks = RecordAcks.CREDITS,
        get_records_dp: int | None = None,
    ) -> None:
        draws = count(1)
        self.central = Central(
            KEYS,
            new_iv=lambda: next(draws).to_bytes(16, "big"),
            dialect=found.dialect,
            att_payload=found.att_payload,
            sn_start=sn_start,
            record_acks=record_acks,
            get_records_dp=get_records_dp,
        )
        self.lock = Peripheral(
            KEYS,
            found,
            bound=bound,
            new_iv=lambda: next(draws).to_bytes(16, "big"),
            new_srand=lambda: next(draws).to_bytes(6, "big"),
        )
        self.now = 100.0
        self.events: list[ev.CentralEvent] = []
        self.lock_events: list[ev.PeripheralEvent] = []
        self.hung_up: str | None = None

    def connect(self) -> None:
        """The link comes up on both sides."""
        self.lock.connected(self.now)
        self.central.connected()
        self.hung_up = None

    def deliver(self, outgoing: Outgoing) -> list[ev.CentralEvent]:
        """Write a message and bring every answer back; returns what the central saw."""
        self.central.handed_over(outgoing)
        return self.write(*outgoing.fragments)

    def write(self, *fragments: bytes) -> list[ev.CentralEvent]:
        """Write single fragments."""
        seen: list[ev.CentralEvent] = []
        for fragment in fragments:
            seen += self.back(self.lock.receive_write(fragment, self.now))
        return seen

    def back(self, events: list[ev.PeripheralEvent]) -> list[ev.CentralEvent]:
        """Bring the lock's notifications to the central."""
        seen: list[ev.CentralEvent] = []
        for event in events:
            self.lock_events.append(event)
            if isinstance(event, ev.Notify):
                for fragment in event.fragments:
                    seen += self.central.receive(fragment, self.now)
            elif isinstance(event, ev.HangUp):
                self.hung_up = event.reason
        self.events += seen
        return seen

    def handshake(self, *, bound: bool = True) -> None:
        """From nothing to ready."""
        self.connect()
        self.deliver(self.central.ask_device_info(self.now, bound=bound))
        self.deliver(self.central.pair(self.now))
