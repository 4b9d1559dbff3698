"""What an app's panel is answered at the virtual cloud, over the same state as lock programs are.

Of a linked lock it is remembered what a panel does; of any other, and where there is nothing to
remember, the documents' samples are answered. Source: the vendor's panel API document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bleagent.records.standard_codes import STANDARD_CODES
from protocol import Datapoint, DpMap, Secret
from protocol.dpmap import LockGeneration
from protocol.records import RecordEvent

from .cloud_checks import Failure
from .cloud_members import MemberDesk
from .cloud_passwords import CloudPassword, PasswordDesk, Phase
from .cloud_records import CloudCredential, ReportedRecord
from .cloud_samples import sample

Params = Mapping[str, Any]

TRIES = 5
"""Wrong gestures, after which none is right."""
CODE = "123456"
"""Is sent to every account: as in the document's sample, for nobody gets a message here."""
SOON_OVER = 24 * 3600
"""Seconds before its end in which a password is said to be ending; the document has no number."""
_DELETE, _CHANGE, _FREEZE, _UNFREEZE = 125, 126, 127, 128
_MILLISECONDS = 10**11
_FIRST_OPMODE = 47958
_NUMBERS = DpMap.default(LockGeneration.V3_3)


@dataclass(slots=True)
class PanelDesk:
    """Passwords, duress marks, names, and the gesture in front of a lock.

    ``gestures`` has the digits that were set, by device, and the tries that are left; ``codes`` the
    accounts to which one was sent; ``opmodes`` which credential of which device has a number.
    """

    passwords: PasswordDesk
    members: MemberDesk
    gestures: dict[str, tuple[str, int]] = field(default_factory=dict)
    codes: set[str] = field(default_factory=set)
    opmodes: dict[int, tuple[str, str, int]] = field(default_factory=dict)

    def actions(self) -> dict[str, Callable[[Params], object]]:
        """The actions, by name and version."""
        about_locks: dict[str, Callable[[str, Params], object]] = {
            "tuya.m.device.lock.gesturepwd.set@1.0": self._set_gesture,
            "tuya.m.device.lock.gesturepwd.validate@1.0": self._try_gesture,
            "tuya.m.device.lock.zigbee.temppwdList.remove@1.0": self._remove_invalid,
            "tuya.m.scale.hijacking.add.config@1.0": lambda *asked: self._mark(*asked, attr=1),
            "tuya.m.scale.hijacking.remove.config@1.0": lambda *asked: self._mark(*asked, attr=0),
            "tuya.m.device.zigbee.newTempPwd.create@1.0": self._create,
            "tuya.m.zigbee.lock.temppwd.create@1.0": self._create_old,
            "tuya.m.zigbee.lock.temppwd.list@1.0": self._list_old,
            "tuya.m.device.lock.temppwd.pagelist@1.0": self._page,
            "tuya.m.device.zigbee.newTempPwd.update@1.0": self._update,
            "tuya.m.zigbee.lock.temppwd.update@1.0": self._update_old,
            "tuya.m.device.lock.temppwd.name.update@1.0": self._rename,
            "tuya.m.device.lock.temppwd.name.update@2.0": self._rename_opmode,
            "tuya.m.device.lock.alarm.list@1.0": self._events,
            "tuya.m.scale.history.list@2.0": self._events,
            "tuya.m.device.member.opmode.add@2.0": self._add_opmode,
        }
        return {name: self._of_lock(name, answer) for name, answer in about_locks.items()} | {
            "tuya.m.device.user.verifycode.send@1.0": self._send_code,
            "tuya.m.device.user.verifycode.check@1.0": self._check_code,
        }

    def _of_lock(
        self, name: str, answer: Callable[[str, Params], object]
    ) -> Callable[[Params], object]:
        def run(params: Params) -> object:
            told = sample(name, params)  # what the document needs is needed
            device_id = str(params.get("devId", ""))
            return answer(device_id, params) if self.passwords.has(device_id) else told

        return run

    # -- passwords

    def _create(self, device_id: str, params: Params) -> object:
        return _row({"operate": 124}, self._made(device_id, params))

    def _create_old(self, device_id: str, params: Params) -> object:
        limit, held = int(params.get("createLimit") or 0), self.passwords.of(device_id)
        if 0 < limit <= len(held):
            raise Failure(2303, "too many passwords")
        self._made(device_id, params)
        return True

    def _made(self, device_id: str, params: Params) -> CloudPassword:
        return self.passwords.put(
            device_id, Secret(str(params["password"]).encode()), name=str(params["name"]),
            begins=_time(params, "effectiveTime"), ends=_time(params, "invalidTime"),
            more=_more(params),
        )  # fmt: skip

    def _list_old(self, device_id: str, params: Params) -> object:
        wanted, unix = _wanted(params), self.passwords.unix()
        found = self.passwords.of(device_id, deleted=True)
        return [
            {
                "id": one.password_id,
                "name": one.name,
                "mobile": str(one.more.get("phone", "")),
                "effectiveTime": one.effective_time,
                "invalidTime": one.invalid_time,
                "effective": _effective(one, unix),
                "oneTime": int(one.more.get("type") == 1),
                "phase": self._zigbee_phase(one),
                "deliveryStatus": _delivery(one),
                "gmtCreate": one.effective_time * 1000,
                "canDelete": one.phase is Phase.DELETED,
            }
            for one in found
            if self.passwords.valid(one) is wanted
        ]

    def _zigbee_phase(self, one: CloudPassword) -> int:
        if one.phase in (Phase.DELETED, Phase.TO_BE_DELETED):
            return 4
        if one.phase is Phase.FAILED:
            return 5
        return 3 if one.password_id in self.passwords.frozen else 2

    def _page(self, device_id: str, params: Params) -> object:
        """As an app that is signed in sees them: with the digits."""
        wanted, begin = _wanted(params), int(params.get("offset", 0))
        found = self.passwords.of(device_id, deleted=True)
        found = [one for one in found if self.passwords.valid(one) is wanted]
        end = begin + int(params.get("limit", 50))
        rows = [_row({}, one) for one in found[begin:end]]
        return {"datas": rows, "hasNext": end < len(found), "totalCount": len(found)}

    def _update(self, device_id: str, params: Params) -> object:
        one = self._one(device_id, params.get("id"))
        operate = self._change(one, params, (_DELETE, _CHANGE))
        return _row({"operate": operate}, self.passwords.passwords[one.password_id])

    def _update_old(self, device_id: str, params: Params) -> object:
        one = self._one(device_id, params.get("id"))
        self._change(one, params, (_DELETE, _CHANGE, _FREEZE, _UNFREEZE))
        return True

    def _change(self, one: CloudPassword, params: Params, may_be: tuple[int, ...]) -> int:
        operate = int(params.get("operate") or 0)
        if operate not in may_be:
            raise Failure(1109, "param is illegal,please check it")
        if operate == _DELETE:
            self.passwords.delete(one)
        elif operate == _CHANGE:
            self.passwords.passwords[one.password_id] = replace(
                one, name=str(params["name"]), effective_time=_time(params, "effectiveTime"),
                invalid_time=_time(params, "invalidTime"), phase=Phase.TO_BE_SENT,
                more={**one.more, **_more(params)},
            )  # fmt: skip
        elif operate == _FREEZE:
            self.passwords.frozen.add(one.password_id)
        else:
            self.passwords.frozen.discard(one.password_id)
        return operate

    def _rename(self, device_id: str, params: Params) -> object:
        one = self._one(device_id, params.get("pwdId"))
        self.passwords.passwords[one.password_id] = replace(one, name=str(params["name"]))
        return True

    def _remove_invalid(self, device_id: str, _params: Params) -> object:
        self.passwords.forget_invalid(device_id)
        return True

    def _one(self, device_id: str, password_id: object) -> CloudPassword:
        for one in self.passwords.of(device_id):
            if str(one.password_id) == str(password_id):
                return one
        raise Failure(1000, "data not exist")

    # -- members

    def _mark(self, device_id: str, params: Params, *, attr: int) -> object:
        """``dpValue`` is the number, or the whole of ``dpId``-number as in the sample."""
        sn = str(params["dpValue"]).rpartition("-")[2]
        number = _numbers(f"{params['dpId']}-{sn}")
        for user in self.members.records.users.get(device_id, []):
            for one in user.credentials:
                if (one.dp_id, one.unlock_sn) == number:
                    return self.members.mark(device_id, (one.dp_code, one.unlock_sn), attr=attr)
        raise Failure(1000, "data not exist")

    def _add_opmode(self, device_id: str, params: Params) -> object:
        number, free = _numbers(params["unlockId"]), self.members.unallocated.get(device_id, [])
        found = next((one for one in free if (one.dp_id, one.unlock_sn) == number), None)
        if found is None:
            raise Failure(1000, "data not exist")
        named = replace(found, unlock_name=str(params["unlockName"]))
        free[free.index(found)] = named
        self.members.allocate(device_id, str(params["userId"]), [(named.dp_code, named.unlock_sn)])
        opmode = _FIRST_OPMODE + len(self.opmodes)
        self.opmodes[opmode] = device_id, named.dp_code, named.unlock_sn
        return {"opModeId": opmode, "unlockName": named.unlock_name}

    def _rename_opmode(self, device_id: str, params: Params) -> object:
        known = self.opmodes.get(int(params.get("pwdId") or 0))
        if known is None or known[0] != device_id:
            raise Failure(1000, "data not exist")

        def renamed(one: CloudCredential) -> CloudCredential:
            return replace(one, unlock_name=str(params.get("name") or one.unlock_name))

        self.members.alter(device_id, known[1:], renamed)
        return True

    # -- what happened

    def _events(self, device_id: str, params: Params) -> object:
        """Openings or alarms: what the datapoints that were asked for have told."""
        numbers = {_code(int(dp)): int(dp) for dp in params["dpIds"]}
        span = {"start_time": params.get("startTime", 0), "end_time": params.get("endTime", 0)}
        found = self.members.records.found(device_id, frozenset(numbers), span)
        begin = int(params.get("offset", 0))
        end = begin + int(params.get("limit", 50))
        rows = [self._event(at, one, numbers[one.code]) for at, one in found[begin:end]]
        return {"datas": rows, "hasNext": end < len(found), "totalCount": len(found)}

    def _event(self, at: int, record: ReportedRecord, number: int) -> dict[str, object]:
        user, credential = self.members.records.whose(record)
        return {
            "devId": record.device_id,
            "dps": [{str(number): str(record.value)}],
            "avatar": "",
            "userName": user.nick_name if user else "",
            "unlockName": credential.unlock_name if credential else "",
            "gmtCreate": record.time_ms,
            "uuid": f"{record.time_ms}virtual{at:08d}",
            "userId": user.user_id if user else "0",
            "tags": 0,
            "status": 1,
        }

    # -- the app itself

    def _set_gesture(self, device_id: str, params: Params) -> object:
        if str(params["open"]).lower() in ("true", "1"):
            known, _ = self.gestures.get(device_id, ("", TRIES))
            self.gestures[device_id] = str(params.get("password") or known), TRIES
        else:
            self.gestures.pop(device_id, None)
        return True

    def _try_gesture(self, device_id: str, params: Params) -> object:
        kept, left = self.gestures.get(device_id, ("", TRIES))
        given, is_on = str(params["password"]), device_id in self.gestures
        right = is_on and left > 0 and given == kept
        left = TRIES if right else max(0, left - 1)
        if is_on:
            self.gestures[device_id] = kept, left
        return {
            "devId": device_id, "uid": "0", "password": given, "status": is_on,
            "checkResult": right, "spareTime": left,
        }  # fmt: skip

    def _send_code(self, params: Params) -> object:
        told = sample("tuya.m.device.user.verifycode.send@1.0", params)
        self.codes.add(str(params["account"]))
        return told

    def _check_code(self, params: Params) -> object:
        told = sample("tuya.m.device.user.verifycode.check@1.0", params)
        account = str(params["account"])
        if account in self.codes and params["code"] != CODE:
            raise Failure(1109, "param is illegal,please check it")
        self.codes.discard(account)
        return told


def _code(number: int) -> str:
    """What a datapoint's records are called; its number, where it has none."""
    kind = RecordEvent.read(Datapoint.raw(number, b""), _NUMBERS).kind
    return STANDARD_CODES.get(kind, f"dp_{number}")


def _row(more: Mapping[str, object], one: CloudPassword) -> dict[str, object]:
    return {
        "id": one.password_id,
        "devId": one.device_id,
        "name": one.name,
        "password": one.pin.reveal().decode(),
        "phase": int(one.phase),
        "oneTime": int(one.more.get("type") == 1),
        "deliveryStatus": _delivery(one),
        "phone": str(one.more.get("phone", "")),
        **more,
    }


def _delivery(one: CloudPassword) -> int:
    return {Phase.SENT: 2, Phase.FAILED: 3}.get(one.phase, 1)


def _effective(one: CloudPassword, unix: float) -> int:
    """1 not yet, 2 good, 3 ending soon, 4 over."""
    if unix < one.effective_time:
        return 1
    if unix >= one.invalid_time:
        return 4
    return 3 if one.invalid_time - unix < SOON_OVER else 2


def _more(params: Params) -> dict[str, Any]:
    phone = {"phone": params["phone"]} if params.get("phone") else {}
    return {"type": int(params.get("oneTime") or 0), **phone}


def _wanted(params: Params) -> bool:
    return str(params.get("useful", True)).lower() in ("true", "1")


def _time(params: Params, name: str) -> int:
    """Unix seconds, of a text in seconds or milliseconds."""
    told = str(params[name])
    if not (told.isascii() and told.isdigit()):
        raise Failure(1109, "param is illegal,please check it")
    return int(told) // 1000 if int(told) >= _MILLISECONDS else int(told)


def _numbers(text: object) -> tuple[int, int]:
    """Datapoint and number of a credential, as in ``1-2``."""
    dp, _, sn = str(text).partition("-")
    if not (dp.isdigit() and sn.isdigit()):
        raise Failure(1109, "param is illegal,please check it")
    return int(dp), int(sn)
