"""Records at the virtual cloud: reported, remembered, told again, with whose they are.

What is reported is kept in the order of its arrival. A message id that was seen before is a
success and stores nothing, as a receiver that dedupes does; the vendor promises no such thing,
so that it can be switched off (reference: cloud §5, safety D5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from .cloud_checks import Failure

Params = Mapping[str, Any]
Value = int | bool | str

REPORT_PROPERTY = "property.report"
MAX_MESSAGE_ID = 32
MAX_PAGE_SIZE = 100
_ALARM = "alarm_lock"
_DURESS = "hijack"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedRecord:
    """One value that was reported, or that a test planted. ``time_ms`` is what it happened at."""

    device_id: str
    code: str
    value: Value
    time_ms: int
    message_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudCredential:
    """A credential of a member, as the cloud names it. ``attr`` 1: used under duress."""

    dp_code: str
    unlock_sn: int
    unlock_name: str = ""
    dp_id: int = 0
    attr: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudUser:
    """A member of a lock."""

    user_id: str
    nick_name: str
    lock_user_id: int = 1
    user_type: int = 20
    credentials: tuple[CloudCredential, ...] = ()


@dataclass(slots=True)
class RecordDesk:
    """Takes reports, and answers about them and about members.

    ``stored`` has what was reported, in the order in which it came, ``heard`` is called with it;
    ``planted`` is what somebody else reported. ``repeated`` counts message ids that came again.
    ``refused_devices`` gives a code for a device (1106, 2009), ``refuses`` says which values are
    answered with 1109. ``dedupes``: a message id counts once. ``tells_unlock_detail``: the list of
    users has their credentials. ``has`` says which devices are linked.
    """

    has: Callable[[str], bool]
    stored: list[ReportedRecord] = field(default_factory=list)
    planted: list[ReportedRecord] = field(default_factory=list)
    users: dict[str, list[CloudUser]] = field(default_factory=dict)
    repeated: Counter[str] = field(default_factory=Counter)
    refused_devices: dict[str, int] = field(default_factory=dict)
    refuses: Callable[[ReportedRecord], bool] = lambda _record: False
    heard: Callable[[ReportedRecord], None] = lambda _record: None
    dedupes: bool = True
    tells_unlock_detail: bool = True
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def actions(self) -> dict[str, Callable[[Params], object]]:
        """The actions, by name."""
        return {
            REPORT_PROPERTY: self._report,
            "doorLock.listRecords": self._list_records,
            "doorLock.openingLogs": self._opening_logs,
            "doorLock.alarmLogs": self._alarm_logs,
            "doorLock.listUsers": self._list_users,
            "doorLock.listUserOpmodes": self._list_user_opmodes,
        }

    # -- reported

    def _report(self, params: Params) -> object:
        device_id = self._device(params)
        records = _read_report(device_id, params)
        if any(self.refuses(record) for record in records):
            raise Failure(1109, "param is illegal,please check it")
        message = (device_id, records[0].message_id)
        if message in self._seen:
            self.repeated[records[0].message_id] += 1
            if self.dedupes:
                return True
        self._seen.add(message)
        self.stored += records
        for record in records:
            self.heard(record)
        return True

    # -- told again

    def _list_records(self, params: Params) -> object:
        device_id = self._device(params)
        codes = _codes(params, "target_standard_dp_codes")
        found = self.found(device_id, codes, params)
        rows = [self._record_row(number, record) for number, record in found]
        return {"unread_count": 0, **page(rows, params)}

    def _opening_logs(self, params: Params) -> object:
        found = self.found(self._device(params), None, params)
        openings = [one for _, one in found if one.code.startswith("unlock_")]
        rows = [self._log_row(one, finger="unlock_finger") for one in openings]
        return page(rows, params, name="logs", tells_more=False)

    def _alarm_logs(self, params: Params) -> object:
        codes = _codes(params, "codes", default=_ALARM)
        device_id = self._device(params)
        found = [one for _, one in self.found(device_id, None, {})]
        alarms = [one for one in found if one.code in codes]
        if _DURESS in codes:
            alarms += [self._under_duress(one) for one in found if self._is_under_duress(one)]
        rows = [self._log_row(one) for one in alarms]
        return page(rows, params, tells_more=False)

    def found(
        self, device_id: str, codes: frozenset[str] | None, params: Params
    ) -> list[tuple[int, ReportedRecord]]:
        """Newest first, each with a number that stays; times in milliseconds, 0 for any."""
        start, end = _int(params, "start_time", 0), _int(params, "end_time", 0)
        numbered = zip(count(1), [*self.planted, *self.stored], strict=False)
        found = [
            (number, one)
            for number, one in numbered
            if one.device_id == device_id
            and (codes is None or one.code in codes)
            and one.time_ms >= start
            and (not end or one.time_ms <= end)
        ]
        return sorted(found, key=lambda one: (one[1].time_ms, one[0]), reverse=True)

    def _record_row(self, number: int, record: ReportedRecord) -> dict[str, object]:
        user, credential = self.whose(record)
        alarm = record.code == _ALARM
        return {
            "record_id": f"{record.time_ms}virtual{number:08d}",
            "dps": [{record.code: _as_text(record.value)}],
            "gmt_create": record.time_ms,
            "user_id": user.user_id if user else "0",
            "user_name": user.nick_name if user else "",
            "unlock_name": credential.unlock_name if credential else "",
            "avatar": "",
            "status": 1,
            "record_type": "alarm" if alarm else "normal",
            "member_bindable_flag": 0 if user or alarm else 1,
            "media_info_list": [],
            "union_unlock_info": [],
        }

    def _log_row(self, record: ReportedRecord, *, finger: str = "") -> dict[str, object]:
        """As in the document's samples: one object instead of a list, and whole seconds."""
        user, credential = self.whose(record)
        code = finger if finger and record.code == "unlock_fingerprint" else record.code
        row: dict[str, object] = {
            "status": {"code": code, "value": _as_text(record.value)},
            "update_time": record.time_ms // 1000,
        }
        if user is not None:
            row |= {"user_id": user.user_id, "nick_name": user.nick_name}
        if credential is not None:
            row |= {"unlock_name": credential.unlock_name}
        return row

    def _is_under_duress(self, record: ReportedRecord) -> bool:
        _, credential = self.whose(record)
        return credential is not None and credential.attr == 1

    def _under_duress(self, record: ReportedRecord) -> ReportedRecord:
        """As in the document's sample: which credential it was."""
        return replace(record, code=_DURESS, value=f"{record.code}-{int(record.value):02d}")

    def whose(self, record: ReportedRecord) -> tuple[CloudUser | None, CloudCredential | None]:
        """Whose credential it was, and which; by the numbers of now."""
        for user in self.users.get(record.device_id, []):
            for one in user.credentials:
                if (one.dp_code, one.unlock_sn) == (record.code, record.value):
                    return user, one
        return None, None

    # -- members

    def _list_users(self, params: Params) -> object:
        codes = _codes(params, "target_standard_dp_codes", "codes")
        users = self.users.get(self._device(params), [])
        return page([_user_row(one, codes, self.tells_unlock_detail) for one in users], params)

    def _list_user_opmodes(self, params: Params) -> object:
        codes = _codes(params, "target_unlock_standard_dp_codes", "codes")
        users = self.users.get(self._device(params), [])
        rows = [
            {
                "dp_code": one.dp_code,
                "unlock_attr": one.attr,
                "unlock_name": one.unlock_name,
                "user_name": user.nick_name,
                "user_id": user.user_id,
                "unlock_sn": one.unlock_sn,
                "unlock_id": f"{one.dp_id}-{one.unlock_sn}",
                "lock_user_id": user.lock_user_id,
                "user_type": user.user_type,
                "photo_unlock": False,
            }
            for user in users
            if user.user_id == params.get("user_id")
            for one in user.credentials
            if one.dp_code in codes
        ]
        return page(rows, params)

    def _device(self, params: Params) -> str:
        device_id = str(params.get("device_id", ""))
        if not self.has(device_id):
            raise Failure(1106, "permission deny")
        if device_id in self.refused_devices:
            raise Failure(self.refused_devices[device_id], "planned refusal of the device")
        return device_id


# -- what is asked


def _read_report(device_id: str, params: Params) -> list[ReportedRecord]:
    message_id, data = params.get("msg_id"), params.get("data")
    if not isinstance(message_id, str) or not message_id:
        raise Failure(1100, "param is empty")
    if len(message_id) > MAX_MESSAGE_ID:
        raise Failure(1101, "param is out of range")
    if not isinstance(data, dict) or not data:
        raise Failure(1100, "param is empty")
    return [
        ReportedRecord(
            device_id=device_id,
            code=code,
            value=_reported(told),
            time_ms=_reported_time(told),
            message_id=message_id,
        )
        for code, told in data.items()
    ]


def _reported(told: object) -> Value:
    value = told.get("value") if isinstance(told, dict) else None
    if not isinstance(value, int | bool | str):
        raise Failure(1104, "type is incorrect")
    return value


def _reported_time(told: object) -> int:
    time = told.get("time") if isinstance(told, dict) else None
    if not isinstance(time, int) or isinstance(time, bool) or not 10**12 <= time < 10**13:
        raise Failure(1109, "param is illegal,please check it")
    return time


def _codes(params: Params, *names: str, default: str = "") -> frozenset[str]:
    for name in names:
        if isinstance(params.get(name), str):
            return frozenset(params[name].split(","))
    if default:
        return frozenset({default})
    raise Failure(1102, f"{names[0]} is null")


def _int(params: Params, name: str, default: int | None = None) -> int:
    """A number, which a query has as text, and the document's samples here and there too."""
    value = params.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Failure(1104 if name in params else 1102, f"{name} is incorrect")
    return value


# -- what is answered


def page(
    rows: Sequence[object], params: Params, *, name: str = "records", tells_more: bool = True
) -> dict[str, object]:
    """One page; counted from 1, and 0 is the first one too (the document's own sample)."""
    number, size = max(_int(params, "page_no"), 1), _int(params, "page_size")
    if not 0 < size <= MAX_PAGE_SIZE:
        raise Failure(1101, "page_size is out of range")
    found: dict[str, object] = {"total": len(rows), name: rows[(number - 1) * size : number * size]}
    if tells_more:
        found |= {"has_more": number * size < len(rows), "total_pages": -(-len(rows) // size)}
    return found


def _user_row(user: CloudUser, codes: Iterable[str], tells_detail: bool) -> dict[str, object]:  # noqa: FBT001
    row: dict[str, object] = {
        "user_id": user.user_id,
        "lock_user_id": user.lock_user_id,
        "user_contact": "",
        "nick_name": user.nick_name,
        "avatar_url": "",
        "user_type": user.user_type,
        "back_home_notify_attr": 0,
        "effective_flag": 1,
        "time_schedule_info": {"permanent": True},
    }
    if tells_detail:
        row["unlock_detail"] = [
            _unlock_detail(code, [one for one in user.credentials if one.dp_code == code])
            for code in sorted(codes)
        ]
    return row


def _unlock_detail(code: str, credentials: list[CloudCredential]) -> dict[str, object]:
    return {
        "dp_code": code,
        "open": True,
        "count": len(credentials),
        "unlock_list": [
            {
                "dp_code": code,
                "unlock_sn": one.unlock_sn,
                "unlock_name": one.unlock_name,
                "unlock_attr": one.attr,
                "allocate_flag": 0,
            }
            for one in credentials
        ],
    }


def _as_text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
