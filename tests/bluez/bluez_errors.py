"""The errors that BlueZ answers with, by their names on the bus."""

from __future__ import annotations


class BluezError(Exception):
    """An error reply."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


def failed(text: str) -> BluezError:
    return BluezError("org.bluez.Error.Failed", text)


def in_progress(text: str = "Operation already in progress") -> BluezError:
    return BluezError("org.bluez.Error.InProgress", text)


def not_ready() -> BluezError:
    return BluezError("org.bluez.Error.NotReady", "Resource Not Ready")


def does_not_exist() -> BluezError:
    return BluezError("org.bluez.Error.DoesNotExist", "Does Not Exist")


def not_supported() -> BluezError:
    return BluezError("org.bluez.Error.NotSupported", "Operation is not supported")


def no_such_object(path: str) -> BluezError:
    return BluezError("org.freedesktop.DBus.Error.UnknownObject", f"no object at {path}")


def no_such_method(member: str) -> BluezError:
    return BluezError("org.freedesktop.DBus.Error.UnknownMethod", f"no method {member}")
