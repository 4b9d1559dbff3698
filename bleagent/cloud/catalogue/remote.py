"""APIs that open from afar, share an opening, or ask about devices; and the video door's."""

from __future__ import annotations

from .entry import (
    DEVICE,
    DONE,
    DOOR_LOCK,
    MOST,
    SMART_LOCK,
    WIFI_BLE,
    Api,
    Family,
    Field,
    Group,
    Kind,
    LockKind,
    Params,
    Path,
    Repeat,
    result,
    results,
)

_TICKET = Field("ticket_id", Kind.ID, secret=True, note="of doorLock.passwordTicket, good once")
_WAYS = ("remoteUnlockWithoutPwd", "remoteUnlockWithPwd")
_SHARING = "there is no public path: links are shared by mini programs and apps only"


def _opening(params: Params) -> Params:
    """The newer path can lock, too."""
    return params | {"open": True}


REMOTE = (
    Api(
        "doorLock.passwordFreeOpen",
        Group.REMOTE,
        "open a door from afar, with a ticket",
        takes=(
            DEVICE,
            _TICKET,
            Field("channel_id", Kind.ID, required=False, note="Wi-Fi access control only"),
        ),
        gives=DONE,
        paths=(
            Path("POST", DOOR_LOCK + "/password-free/open-door"),
            Path("POST", SMART_LOCK + "/password-free/door-operate", shape=_opening),
        ),
        locks=(*MOST, LockKind.STANDARD_WIFI),
        repeat=Repeat.ONCE,
        moves=True,
        note="true says that it was accepted, not that a door is open",
    ),
    Api(
        "doorLock.openDoor",
        Group.REMOTE,
        "open a door from afar, with its password",
        takes=(
            DEVICE,
            Field(
                "password",
                Kind.HEXADECIMAL,
                secret=True,
                least=32,
                most=64,
                note="6 digits, encrypted with the ticket's key",
            ),
            Field("password_type", default="ticket", choices=("ticket",)),
            _TICKET,
        ),
        gives=DONE,
        paths=(Path("POST", DOOR_LOCK + "/open-door"),),
        locks=(LockKind.ZIGBEE,),
        repeat=Repeat.ONCE,
        moves=True,
    ),
    Api(
        "doorLock.cancelPasswordFreeOpen",
        Group.REMOTE,
        "turn a request for a remote opening down",
        takes=(DEVICE, Field("type", Kind.NUMBER, choices=(1, 2), note="1 rejected, 2 cancelled")),
        gives=DONE,
        paths=(Path("PUT", DOOR_LOCK + "/password-free/open-door/cancel"),),
        locks=(LockKind.WIFI,),
        repeat=Repeat.SAME,
    ),
    Api(
        "doorLock.remoteUnlocks",
        Group.REMOTE,
        "which ways to open from afar a lock has, and which are on",
        takes=(DEVICE,),
        gives=results(
            Field("remote_unlock_type", choices=_WAYS),
            Field("open", Kind.BOOLEAN),
            Field("device_id", Kind.ID),
        ),
        paths=(Path("GET", DOOR_LOCK + "/remote-unlocks"),),
        locks=MOST,
        note="the sample has no result; a list here, one object over the path",
    ),
    Api(
        "doorLock.remoteUnlockConfig",
        Group.REMOTE,
        "switch a way to open from afar on or off",
        takes=(DEVICE, Field("remote_unlock_type", choices=_WAYS), Field("open", Kind.BOOLEAN)),
        gives=DONE,
        paths=(Path("POST", DOOR_LOCK + "/remote-unlock/config"),),
        locks=MOST,
        repeat=Repeat.SAME,
    ),
)

_SHARING_ID = Field("sharing_id", Kind.ID)
_SHARING_TICKET = Field("sharing_ticket", secret=True)
_SCHEMA = Field("app_schema", default="cloud", note="cloud stands for the project's own")
_DETAIL = (
    Field("biz_type", choices=("unlock_ble", "unlock_fingerprint")),
    Field("available_times", Kind.NUMBER, least=-1, default=-1, note="-1 as often as one likes"),
    Field("name", required=False, most=64),
    Field("effective_time", Kind.MILLISECONDS, required=False, note="unit from the sample"),
    Field("invalid_time", Kind.MILLISECONDS, required=False, note="unit from the sample"),
    Field("schedule_start_time", Kind.MINUTES, required=False),
    Field("schedule_end_time", Kind.MINUTES, required=False),
    Field("working_day", Kind.WEEKDAYS, required=False),
)
_LINK = result(
    _SHARING_ID,
    _SHARING_TICKET,
    Field("expire_time", Kind.NUMBER, note="seconds that are left; none at 0 or below"),
)

SHARING = (
    Api(
        "doorLock.createPermissionSharing",
        Group.SHARING,
        "a link with which somebody may open for a while",
        takes=(
            DEVICE,
            _SCHEMA,
            Field("sharer", note="the account; the uid where it is the current user"),
            Field("receiver", required=False),
            Field("permission_detail", Kind.OBJECT, fields=_DETAIL),
        ),
        gives=_LINK,
        no_path=_SHARING,
        locks=WIFI_BLE,
        repeat=Repeat.ONCE,
    ),
    Api(
        "doorLock.verifyPermissionSharing",
        Group.SHARING,
        "whether such a link is still good",
        takes=(_SHARING_TICKET,),
        gives=_LINK,
        no_path=_SHARING,
        locks=WIFI_BLE,
    ),
    Api(
        "doorLock.confirmPermissionSharing",
        Group.SHARING,
        "take such a link up",
        takes=(_SHARING_ID, _SCHEMA, _SHARING_TICKET, Field("receiver", note="the uid")),
        gives=result(
            Field("permission_id", Kind.ID),
            *_DETAIL,
            Field("effective_flag", Kind.NUMBER, choices=(0, 1, 2)),
            Field("schedule_effective_flag", Kind.BOOLEAN),
        ),
        no_path=_SHARING,
        locks=WIFI_BLE,
        repeat=Repeat.ONCE,
        note="permission_id is in the table and not in the sample",
    ),
    Api(
        "doorLock.cancelPermissionSharing",
        Group.SHARING,
        "take such a link back",
        takes=(_SHARING_ID, _SHARING_TICKET),
        gives=DONE,
        no_path=_SHARING,
        locks=WIFI_BLE,
        repeat=Repeat.SAME,
    ),
)

_PERSON = Field("person_id", Kind.ID, most=32)
_DOORS = "/v1.0/iot-02/third/doors/{device_id}/persons"

VIDEO_DOOR = (
    Api(
        "videoDoor.open",
        Group.VIDEO_DOOR,
        "open a video door from afar",
        takes=(DEVICE, _PERSON),
        gives=result(Field("sn", Kind.ID)),
        paths=(Path("POST", _DOORS + "/{person_id}/actions/open"),),
        family=Family.VIDEO_DOOR,
        repeat=Repeat.ONCE,
        moves=True,
        note="its answer says that it was accepted, not that a door is open",
    ),
    Api(
        "videoDoor.call",
        Group.VIDEO_DOOR,
        "ring at up to three residents, or hang up",
        takes=(
            DEVICE,
            Field("sn", Kind.ID, most=20),
            Field("type", Kind.NUMBER, note="of the call event"),
            Field("target_address", required=False),
            Field("person_id_list", Kind.LIST, of=Kind.ID, least=1, most=3),
        ),
        gives=result(Field("device_id", Kind.ID)),
        paths=(Path("POST", _DOORS + "/actions/call"),),
        family=Family.VIDEO_DOOR,
        repeat=Repeat.ONCE,
        note="the sample's path has users where the table's has persons",
    ),
)
