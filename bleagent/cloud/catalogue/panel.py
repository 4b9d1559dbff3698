"""APIs of the app's panels. Only an app that is signed in can ask them: they go to a relay.

The column of the document asks whether a parameter may be left out: its *no* means required.
"""

from __future__ import annotations

from .entry import DONE, Api, Family, Field, Group, Kind, Repeat, paged, result, results

_NEW = "for the newer home locks (PRO, and the newer public version)"
_OLD = "for apartment locks and the older public version of home locks"
_BAD_TIMES = "text; milliseconds in the sample, one of them with a digit missing"
_NO_PATH = "panel APIs are asked by an app that is signed in"

_DEV = Field("devId", Kind.ID)
_ID = Field("id", Kind.ID, as_number=True)
_NAME = Field("name", most=64)
_PASSWORD = Field("password", secret=True)
_YES_OR_NO = (0, 1)
_ONCE = Field("oneTime", Kind.NUMBER, choices=_YES_OR_NO, default=0, note="a number, or its text")
_SEND = Field("sendMsg", Kind.NUMBER, choices=_YES_OR_NO, default=0)
_PHONE = Field("phone", required=False)
_OFFSET = Field("offset", Kind.NUMBER, least=0, default=0)
_LIMIT = Field("limit", Kind.NUMBER, least=1, most=100, default=50)
_DP_IDS = Field(
    "dpIds", Kind.LIST, of=Kind.NUMBER, least=1, note="documented as a number, sampled as a list"
)
_UNLOCK_ID = (
    _DEV,
    Field("dpId", Kind.ID, note="a number in the table, its text in the sample"),
    Field("dpValue", Kind.ID, note='a number in the table, "1-1" in the sample'),
)
_NEW_TIMES = (
    Field("effectiveTime", Kind.MILLISECONDS, as_text=True, note=_BAD_TIMES),
    Field("invalidTime", Kind.MILLISECONDS, as_text=True, note=_BAD_TIMES),
)
_OLD_TIMES = (
    Field("effectiveTime", Kind.SECONDS, as_text=True, note="text"),
    Field("invalidTime", Kind.SECONDS, as_text=True, note="text"),
)
_NEW_PASSWORD = (
    _DEV,
    _NAME,
    *_NEW_TIMES,
    _PASSWORD,
    Field("schedule", required=False),
    Field("countryCode", required=False),
    _PHONE,
    _ONCE,
    _SEND,
)
_TOLD = (
    Field("deliveryStatus", Kind.NUMBER),
    Field("devId", Kind.ID),
    _ID,
    Field("name"),
    Field("oneTime", Kind.BOOLEAN),
    Field("operate", Kind.NUMBER),
    _PASSWORD,
    Field("phase", Kind.NUMBER),
    Field("phone"),
    Field(
        "scheduleList",
        Kind.LIST,
        fields=(
            Field("allDay", Kind.BOOLEAN),
            Field("effectiveTime", Kind.MINUTES),
            Field("invalidTime", Kind.MINUTES),
            Field("timeZoneId"),
            Field("workingDay", Kind.WEEKDAYS),
        ),
    ),
    Field("sendMsg", Kind.BOOLEAN),
    Field("status", Kind.BOOLEAN),
    Field("timeZone"),
    Field("tyNumber", Kind.NUMBER),
    Field("uid", Kind.ID),
)
_EVENT = (
    Field("devId", Kind.ID),
    Field("dps", Kind.LIST, of=Kind.ANY),
    Field("avatar"),
    Field("userName"),
    Field("unlockName"),
    Field("gmtCreate", Kind.MILLISECONDS),
    Field("uuid"),
    Field("userId", Kind.ID),
    Field("tags", Kind.NUMBER),
    Field("status", Kind.NUMBER),
)


def _panel(
    name: str,
    purpose: str,
    *takes: Field,
    gives: Field | None = DONE,
    version: str = "1.0",
    repeat: Repeat = Repeat.SAME,
    note: str = "",
) -> Api:
    return Api(
        name,
        Group.PANEL,
        purpose,
        takes=takes,
        gives=gives,
        version=version,
        repeat=repeat,
        note=note,
        family=Family.PANEL,
        no_path=_NO_PATH,
    )


PANEL = (
    _panel(
        "tuya.m.device.lock.gesturepwd.set",
        "switch the app's own gesture or digits in front of a lock on or off",
        _DEV,
        Field("open", Kind.BOOLEAN),
        Field("password", required=False, secret=True),
    ),
    _panel(
        "tuya.m.device.lock.gesturepwd.validate",
        "try that gesture; every wrong one counts",
        _DEV,
        _PASSWORD,
        gives=result(
            Field("devId", Kind.ID),
            Field("uid"),
            _PASSWORD,
            Field("status", Kind.BOOLEAN),
            Field("checkResult", Kind.BOOLEAN),
            Field("spareTime", Kind.NUMBER, note="tries that are left, at most 5"),
        ),
        repeat=Repeat.ONCE,
        note="two rows of the table are named password; the second is its kind",
    ),
    _panel(
        "tuya.m.device.user.account.get",
        "whose account a device belongs to",
        _DEV,
        gives=result(Field("account"), Field("countryCode")),
        repeat=Repeat.READ,
    ),
    _panel(
        "tuya.m.device.user.verifycode.send",
        "send a code to an account",
        Field("account"),
        repeat=Repeat.ONCE,
        note="no answer is described",
    ),
    _panel(
        "tuya.m.device.user.verifycode.check",
        "check that code",
        Field("account"),
        Field("code", secret=True),
        repeat=Repeat.ONCE,
        note="no answer is described",
    ),
    _panel(
        "tuya.m.zigbee.member.list",
        "the members of a Zigbee lock",
        gives=Field("result", Kind.ANY),
        repeat=Repeat.READ,
        note="neither parameters nor an answer are described",
    ),
    _panel(
        "tuya.m.device.lock.zigbee.temppwdList.remove",
        "forget the temporary passwords that have ended",
        _DEV,
    ),
    _panel(
        "tuya.m.scale.hijacking.add.config",
        "opening with it raises a silent alarm from now on",
        *_UNLOCK_ID,
    ),
    _panel(
        "tuya.m.scale.hijacking.remove.config",
        "opening with it raises no alarm any more",
        *_UNLOCK_ID,
    ),
    _panel(
        "tuya.m.device.zigbee.newTempPwd.create",
        "create a temporary password",
        *_NEW_PASSWORD,
        gives=result(*_TOLD),
        repeat=Repeat.ONCE,
        note=_NEW,
    ),
    _panel(
        "tuya.m.zigbee.lock.temppwd.create",
        "create a temporary password",
        _DEV,
        _NAME,
        _PHONE,
        *_OLD_TIMES,
        _PASSWORD,
        _ONCE,
        Field("createLimit", Kind.NUMBER, required=False, least=0),
        repeat=Repeat.ONCE,
        note=_OLD,
    ),
    _panel(
        "tuya.m.zigbee.lock.temppwd.list",
        "the temporary passwords of a lock",
        _DEV,
        Field("useful", Kind.BOOLEAN, required=False, note="in the sample, not in the table"),
        Field("offset", Kind.NUMBER, required=False, least=0, note="in the sample alone"),
        Field("limit", Kind.NUMBER, required=False, least=1, note="in the sample alone"),
        gives=results(
            _ID,
            Field("mobile"),
            Field("name"),
            Field("effectiveTime", Kind.SECONDS),
            Field("invalidTime", Kind.SECONDS),
            _PASSWORD,
            Field("deliveryStatus", Kind.NUMBER, choices=(1, 2, 3, 4, 5, 6)),
            Field("effective", Kind.NUMBER, choices=(1, 2, 3, 4)),
            Field("oneTime", Kind.BOOLEAN),
            Field("phase", Kind.NUMBER, choices=(2, 3, 4, 5)),
            Field("gmtCreate", Kind.MILLISECONDS),
            Field("canDelete", Kind.BOOLEAN, note="undocumented"),
        ),
        repeat=Repeat.READ,
        note=_OLD,
    ),
    _panel(
        "tuya.m.device.lock.temppwd.pagelist",
        "the temporary passwords of a lock, by pages",
        _DEV,
        Field("useful", Kind.BOOLEAN, default=True),
        _OFFSET,
        _LIMIT,
        gives=paged(*_TOLD, name="datas"),
        repeat=Repeat.READ,
        note=_NEW,
    ),
    _panel(
        "tuya.m.device.zigbee.newTempPwd.update",
        "change or delete a temporary password",
        _ID,
        *_NEW_PASSWORD,
        Field("operate", Kind.NUMBER, choices=(125, 126), note="125 delete, 126 change"),
        gives=result(*_TOLD),
    ),
    _panel(
        "tuya.m.zigbee.lock.temppwd.update",
        "change, freeze or delete a temporary password",
        _ID,
        _DEV,
        Field(
            "operate",
            Kind.NUMBER,
            choices=(125, 126, 127, 128),
            note="125 delete, 126 change, 127 freeze, 128 unfreeze",
        ),
        _NAME,
        *_OLD_TIMES,
        _PASSWORD,
        Field("phone"),
        _ONCE,
        note=_OLD,
    ),
    _panel(
        "tuya.m.device.lock.temppwd.name.update",
        "rename a temporary password",
        Field("pwdId", Kind.ID, as_number=True),
        _NAME,
        _DEV,
    ),
    _panel(
        "tuya.m.device.lock.temppwd.name.update",
        "rename a way to open",
        _DEV,
        Field("pwdId", Kind.ID, required=False, as_number=True, note="a number"),
        Field("name", required=False, most=64),
        version="2.0",
    ),
    _panel(
        "tuya.m.device.zigbee.sms.resend",
        "send the message about a password again",
        _ID,
        repeat=Repeat.ONCE,
        note="the table has id, the sample devId",
    ),
    _panel(
        "tuya.m.device.lock.alarm.list",
        "alarms, newest first",
        _DEV,
        _DP_IDS,
        _OFFSET,
        _LIMIT,
        gives=paged(*_EVENT, name="datas"),
        repeat=Repeat.READ,
    ),
    _panel(
        "tuya.m.scale.history.list",
        "openings, newest first",
        _DEV,
        _DP_IDS,
        _OFFSET,
        _LIMIT,
        Field("startTime", Kind.MILLISECONDS, default=0, note="unit unstated; empty in the sample"),
        Field("endTime", Kind.MILLISECONDS, default=0, note="unit unstated; empty in the sample"),
        gives=paged(*_EVENT, name="datas"),
        version="2.0",
        repeat=Repeat.READ,
    ),
    _panel(
        "tuya.m.device.member.opmode.add",
        "give what a lock is opened with to a member",
        _DEV,
        Field("userId", Kind.ID),
        Field("unlockId", Kind.ID, note="datapoint and number, such as 1-2"),
        Field("unlockName", most=64),
        gives=result(Field("opModeId", Kind.ID), Field("unlockName")),
        version="2.0",
        repeat=Repeat.ONCE,
    ),
)
