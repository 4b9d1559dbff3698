"""The Tuya Bluetooth lock protocol, sans IO: bytes in, events out.

``Central`` is our side of one connection and ``Peripheral`` the lock's. They take bytes,
``now`` and deadlines, and give back events and messages to write; nothing here reads a clock,
draws a random number, logs or touches a radio. ``protocol/README.md`` has every byte.
"""

from __future__ import annotations

from .advertisement import Advertisement
from .central import Central
from .commands import CommandCode, Sender
from .datapoint import Datapoint, DpType
from .device_info import DeviceInfo
from .dialect import Dialect
from .dpmap import DpMap, DpName
from .errors import InstructionError, LocalProtocolError, ProtocolError, RemoteProtocolError
from .firmware import Firmware, firmware
from .frame import Frame
from .gatt import GattProfile
from .instruction import Expected, Instruction, InstructionAir
from .keys import LockKeys, Secret, SecurityFlag
from .message import Outgoing
from .peripheral import Peripheral
from .reports import Report, ReportTime
from .state import State

__all__ = [
    "Advertisement",
    "Central",
    "CommandCode",
    "Datapoint",
    "DeviceInfo",
    "Dialect",
    "DpMap",
    "DpName",
    "DpType",
    "Expected",
    "Firmware",
    "Frame",
    "GattProfile",
    "Instruction",
    "InstructionAir",
    "InstructionError",
    "LocalProtocolError",
    "LockKeys",
    "Outgoing",
    "Peripheral",
    "ProtocolError",
    "RemoteProtocolError",
    "Report",
    "ReportTime",
    "Secret",
    "SecurityFlag",
    "Sender",
    "State",
    "firmware",
]
