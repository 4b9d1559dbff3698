"""A PIN on its way to the cloud: encrypted with a ticket that is good once.

Source: reference cloud §6. The ticket's key is encrypted with the whole secret of the project
(AES-256, not its first half as AES-128), the PIN with the 16 bytes that come out of it.
"""

from __future__ import annotations

from typing import Any

from Crypto.Cipher import AES
from Crypto.Util.Padding import pad, unpad

from protocol import Secret

from . import fields
from .catalogue import LockKind
from .errors import BadAnswer, InvalidArgument, NotSupported
from .named_calls import Caller

TICKET = "doorLock.passwordTicket"
SECRET_SIZE = 32
_KEY_SIZE = 16
_DIGITS = {LockKind.BLUETOOTH: 6, LockKind.ZIGBEE: 6}
_DIGITS_OF_WIFI = 7


def digits_of(lock: LockKind) -> int:
    """How many digits a PIN has at this kind of lock."""
    return _DIGITS.get(lock, _DIGITS_OF_WIFI)


def open_ticket(ticket_key: str, secret: Secret) -> Secret:
    """The 16 bytes that a ticket's key stands for.

    Raises:
        NotSupported: the project's secret cannot be a key.
        BadAnswer: the key was not made with this secret, or is none.
    """
    key = secret.reveal()
    if len(key) != SECRET_SIZE:
        raise NotSupported(
            f"a ticket is opened with the project's secret, which has {len(key)} signs; "
            f"expected {SECRET_SIZE}"
        )
    sealed = fields.hexadecimal(ticket_key, "ticket_key")
    try:
        opened = unpad(AES.new(key, AES.MODE_ECB).decrypt(sealed), AES.block_size)
    except ValueError:
        raise BadAnswer("ticket_key was not made with this project's secret") from None
    if len(opened) != _KEY_SIZE:
        raise BadAnswer(f"ticket_key holds {len(opened)} bytes, expected {_KEY_SIZE}")
    return Secret(opened)


def seal_pin(pin: Secret, key: Secret, lock: LockKind) -> str:
    """A PIN as the cloud takes it, in hexadecimal.

    Raises:
        InvalidArgument: not the digits that this kind of lock has; they are not told.
    """
    digits, wanted = pin.reveal(), digits_of(lock)
    if len(digits) != wanted or not digits.isdigit():
        kind = "digits" if digits.isdigit() else "signs, not all digits"
        raise InvalidArgument(
            f"PIN: found {len(digits)} {kind}, expected {wanted} digits for a {lock} lock"
        )
    sealed = AES.new(key.reveal(), AES.MODE_ECB).encrypt(pad(digits, AES.block_size))
    return sealed.hex().upper()


async def with_ticket(
    client: Caller,
    secret: Secret,
    *,
    device_id: str,
    pin: Secret,
    lock: LockKind = LockKind.BLUETOOTH,
    deadline: float | None = None,
) -> dict[str, Any]:
    """Fetch a ticket, and give ``ticket_id``, ``password`` and ``password_type`` for one call.

    Each attempt needs a ticket of its own.

    Raises:
        InvalidArgument: the PIN is none for this kind of lock; nothing was asked.
        CloudError: there is no ticket.
    """
    seal_pin(pin, Secret(bytes(_KEY_SIZE)), lock)  # before a ticket is wasted on it
    ticket = await client.call(TICKET, for_lock=lock, deadline=deadline, device_id=device_id)
    found = fields.mapping(ticket, "the ticket")
    key = open_ticket(found.get("ticket_key", ""), secret)
    return {
        "ticket_id": fields.identifier(found.get("ticket_id"), "ticket_id"),
        "password": seal_pin(pin, key, lock),
        "password_type": "ticket",
    }
