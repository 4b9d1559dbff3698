"""The names on the bus that BlueZ has, and how often a lock is heard."""

from __future__ import annotations

from typing import Any

BOOKWORM, TRIXIE = (5, 66), (5, 82)
"""The versions of BlueZ that the script was compared with; some answers differ."""
ADAPTER, DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
SERVICE, CHARACTERISTIC = "org.bluez.GattService1", "org.bluez.GattCharacteristic1"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
ROOT = "/org/bluez"
ADVERTISING_INTERVAL = 0.02
"""Seconds; real locks take 0.1 to 1."""
Answer = tuple[str, list[Any]]
"""Signature and body of an answer to a call."""
NOTHING: Answer = ("", [])
