"""The protocol's half of a virtual lock: ``Peripheral``, and one habit of locks in the field."""

from __future__ import annotations

from protocol import CommandCode, Peripheral
from protocol import events as ev


class RadioSide(Peripheral):
    """A ``Peripheral`` that can speak first (reference: locks in the field §7, H8 Pro)."""

    def push_info(self) -> list[ev.PeripheralEvent]:
        """Device information that nobody asked for, with a random of its own; bound locks only."""
        if not self.bound:
            return []
        srand = self._new_srand()
        self._ring.learn_srand(srand)
        info = self.firmware.device_info(
            self._ring, srand=srand, bound=True, virtual_id22=self._virtual_id22
        )
        flag = self.firmware.dialect.login_flag
        return [self._notify(CommandCode.DEVICE_INFO, info.to_bytes(), flag=flag)]
