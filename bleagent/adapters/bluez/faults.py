"""What bleak, BlueZ and D-Bus raise, as the agent's errors with advice. The only translation.

BlueZ says some things by the error's name and others only by its text; both are tables here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakCharacteristicNotFoundError,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)
from bleak_retry_connector import BleakNotFoundError, BleakOutOfConnectionSlotsError
from dbus_fast.errors import AuthError, DBusFastError, InvalidAddressError

from bleagent.errors import (
    IncompleteTable,
    LinkError,
    LinkLost,
    LockNotFound,
    RadioBusy,
    RadioUnavailable,
)


class BusUnreachable(RadioUnavailable):
    """There is no D-Bus system bus to talk to."""

    advice = (
        "Start it: `systemctl start dbus.socket`; in a container, mount the host's "
        "/run/dbus/system_bus_socket."
    )


class BusDenied(RadioUnavailable):
    """D-Bus does not let this user talk to bluetoothd."""

    advice = "Allow it: `bleagent doctor` prints the policy file to install."


class BluetoothdMissing(RadioUnavailable):
    """D-Bus is there, bluetoothd is not."""

    advice = "Start it: `systemctl enable --now bluetooth.service`."


class BluetoothdSilent(RadioUnavailable):
    """bluetoothd does not answer in time."""

    advice = (
        "Restart it: `systemctl restart bluetooth.service`. Without an adapter it does not run: "
        "`bleagent doctor` says whether the kernel has one."
    )


class NoAdapter(RadioUnavailable):
    """bluetoothd has no adapter, or not this one."""

    advice = "Plug one in, or see why the kernel has none: `dmesg | grep -i bluetooth`."


class AdapterOff(RadioUnavailable):
    """The adapter is there but not powered."""

    advice = "Switch it on: `rfkill unblock bluetooth && bluetoothctl power on`."


class Interference(LinkLost):
    """The connection was cut while it was being made: mostly other radio traffic."""

    advice = (
        "Move the gateway or its Wi-Fi to 5 GHz or Ethernet; put a USB adapter on an extension, "
        "away from USB 3 devices."
    )


class About(Enum):
    """What was being spoken to: the same D-Bus error means different things."""

    ADAPTER = auto()
    DEVICE = auto()
    LINK = auto()


_DBUS = "org.freedesktop.DBus.Error."
_BLUEZ = "org.bluez.Error."

_BY_NAME: dict[str, type[LinkError]] = {
    f"{_BLUEZ}InProgress": RadioBusy,
    f"{_BLUEZ}NotReady": AdapterOff,
    f"{_BLUEZ}Blocked": AdapterOff,
    f"{_BLUEZ}Busy": RadioBusy,
    f"{_BLUEZ}NotConnected": LinkLost,
    f"{_BLUEZ}ConnectionAttemptFailed": LockNotFound,
    f"{_DBUS}AccessDenied": BusDenied,
    f"{_DBUS}AuthFailed": BusDenied,
    f"{_DBUS}ServiceUnknown": BluetoothdMissing,
    f"{_DBUS}NameHasNoOwner": BluetoothdMissing,
    f"{_DBUS}Spawn.ServiceNotFound": BluetoothdMissing,
    f"{_DBUS}Spawn.ChildExited": BluetoothdMissing,
    "org.freedesktop.systemd1.NoSuchUnit": BluetoothdMissing,
    "org.freedesktop.systemd1.UnitMasked": BluetoothdMissing,
    f"{_DBUS}NoReply": BluetoothdSilent,
    f"{_DBUS}Timeout": BluetoothdSilent,
    f"{_DBUS}TimedOut": BluetoothdSilent,
    f"{_DBUS}Disconnected": BusUnreachable,
}

# The object or what it should be able to do is gone; what that means depends on the object.
_GONE_NAMES = frozenset(
    {
        f"{_DBUS}UnknownObject",
        f"{_DBUS}UnknownInterface",
        f"{_DBUS}UnknownMethod",
        f"{_BLUEZ}DoesNotExist",
    }
)
_GONE: dict[About, type[LinkError]] = {
    About.ADAPTER: NoAdapter,
    About.DEVICE: LockNotFound,
    About.LINK: LinkLost,
}

# Texts of org.bluez.Error.Failed (src/error.c and the kernel's words) and of bleak's own errors,
# in lower case; the first that is found counts.
_BY_TEXT: tuple[tuple[str, type[LinkError]], ...] = (
    ("le-connection-abort-by-local", Interference),
    ("software caused connection abort", Interference),
    ("br-connection-canceled", RadioBusy),  # somebody else's attempt, or a Disconnect of it
    ("in progress", RadioBusy),
    ("already connected", RadioBusy),
    ("connection limit", RadioBusy),
    ("connection slot", RadioBusy),
    ("too many links", RadioBusy),
    ("not powered", AdapterOff),
    ("resource not ready", AdapterOff),
    ("adapter-not-powered", AdapterOff),
    ("failed to discover services", LinkLost),
    ("service discovery has not been performed", LinkLost),
    ("not connected", LinkLost),
    ("disconnected", LinkLost),
    ("input/output error", LinkLost),
    ("connection reset", LinkLost),
    ("page-timeout", LockNotFound),
    ("host is down", LockNotFound),
    ("timed out", LockNotFound),
)

_NOT_AVAILABLE: dict[BleakBluetoothNotAvailableReason, type[LinkError]] = {
    BleakBluetoothNotAvailableReason.NO_BLUETOOTH: NoAdapter,
    BleakBluetoothNotAvailableReason.NO_BLE_CENTRAL_ROLE: NoAdapter,
    BleakBluetoothNotAvailableReason.POWERED_OFF: AdapterOff,
    BleakBluetoothNotAvailableReason.DENIED_BY_SYSTEM: BusDenied,
    BleakBluetoothNotAvailableReason.DENIED_BY_USER: BusDenied,
    BleakBluetoothNotAvailableReason.DENIED_BY_UNKNOWN: BusDenied,
}

# A bus connection that dies under a call answers it with nothing at all, and bleak then stumbles
# over the nothing; a GATT object that vanishes while bleak reads the table is a KeyError.
_STUMBLES = (AssertionError, AttributeError, KeyError)

RAISED = (BleakError, DBusFastError, OSError, EOFError, TimeoutError, *_STUMBLES)
"""Everything that bleak, bleak-retry-connector and dbus-fast raise on purpose or by accident."""


def translate(error: BaseException, doing: str, about: About) -> LinkError:
    """The agent's error for one of theirs; ``doing`` begins its message.

    An error of ours is returned as it is.
    """
    if isinstance(error, LinkError):
        return error
    return _kind(error, about)(f"{doing}: {_words(error)}")


def of_dbus_error(name: str, text: str, about: About) -> type[LinkError]:
    """By the error's name, then by its text."""
    if name in _GONE_NAMES:
        return _GONE[about]
    if name in _BY_NAME:
        return _BY_NAME[name]
    return _by_text(text) or LinkError


# The first class that fits; what needs more than its class to be judged comes before.
_BY_CLASS: tuple[tuple[type[BaseException], type[LinkError]], ...] = (
    (BleakCharacteristicNotFoundError, IncompleteTable),
    (BleakDeviceNotFoundError, LockNotFound),
    (BleakNotFoundError, LockNotFound),
    (BleakOutOfConnectionSlotsError, RadioBusy),
    (BleakGATTProtocolError, LinkError),
    (AuthError, BusDenied),
    (PermissionError, BusDenied),
    (InvalidAddressError, BusUnreachable),
    (EOFError, BusUnreachable),
    (KeyError, LinkLost),
)


def _kind(error: BaseException, about: About) -> type[LinkError]:
    match error:
        case BleakDBusError():
            return of_dbus_error(error.dbus_error, error.dbus_error_details or "", about)
        case BleakBluetoothNotAvailableError():
            return _NOT_AVAILABLE.get(error.reason, RadioUnavailable)
        case TimeoutError():  # an OSError, too
            return LockNotFound if about is About.DEVICE else BluetoothdSilent
        case AssertionError() | AttributeError():
            return LinkLost if about is About.LINK else BusUnreachable
        case _:
            for kind, fault in _BY_CLASS:
                if isinstance(error, kind):
                    return fault
    if isinstance(error, OSError):
        return BusUnreachable
    return _of_words(str(error)) if isinstance(error, BleakError) else LinkError


def _of_words(text: str) -> type[LinkError]:
    # bleak: "adapter 'hci1' not found", "device 'dev_DC_23_...' not found"
    missing = re.match(r"(adapter|device) '.*' not found", text)
    if missing:
        return NoAdapter if missing[1] == "adapter" else LockNotFound
    return _by_text(text) or LinkError


def _by_text(text: str) -> type[LinkError] | None:
    lower = text.lower()
    return next((kind for words, kind in _BY_TEXT if words in lower), None)


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:  # its number and class tell people nothing
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}"
    text = str(error)
    return f"{type(error).__name__} {text}".strip() if len(text) < 200 else text[:200]


@contextmanager
def translated(doing: str, about: About) -> Iterator[None]:
    """Raise the agent's error for whatever of theirs comes out.

    Raises:
        LinkError: instead of any of ``RAISED``.
    """
    try:
        yield
    except LinkError:
        raise
    except RAISED as error:
        raise translate(error, doing, about) from error
