"""The Linux Bluetooth stack: bluetoothd over D-Bus, spoken to with bleak.

``BluezBluetooth`` implements ``bleagent.ports.Bluetooth``. Nothing outside of this package knows
bleak, bleak-retry-connector or dbus-fast; ``faults`` turns everything that they raise into the
agent's errors, once.
"""

from __future__ import annotations

from .bluetooth import BluezBluetooth

__all__ = ["BluezBluetooth"]
