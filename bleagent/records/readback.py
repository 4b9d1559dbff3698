"""What the cloud tells about records and credentials, as values.

Source: ``doorLock.listRecords``, ``openingLogs``, ``listUsers`` and ``listUserOpmodes``; their
traps are listed in reference cloud §8.
"""

from __future__ import annotations

from dataclasses import dataclass

MEMBER = "member"
"""Stands for a code: whoever opens by Bluetooth or from afar is named by the lock's user id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudRecord:
    """One value of one record, as the cloud tells it. ``time`` is Unix seconds.

    Some calls tell whole seconds only. Names are empty where the cloud has none.
    """

    code: str
    value: int | bool | str
    time: float
    user_name: str = ""
    unlock_name: str = ""
    record_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """What the cloud has of one lock in a span of time, in no particular order.

    ``cut``: there was more than is read at once. ``unread``: entries that nobody understands.
    """

    records: tuple[CloudRecord, ...]
    cut: bool = False
    unread: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialName:
    """Whose a credential is. ``sn`` is its number at the lock (hardid), or a member's.

    ``code`` is the standard code of the records that it causes, or ``MEMBER``; ``dp`` their
    datapoint, where the cloud tells it. ``duress``: used under duress, it calls for help.
    """

    code: str
    sn: int
    user_id: str = ""
    user_name: str = ""
    unlock_name: str = ""
    dp: int | None = None
    duress: bool = False
