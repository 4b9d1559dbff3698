"""APIs about the members of a lock, and what each of them opens with."""

from __future__ import annotations

from .entry import (
    DEVICE,
    DONE,
    DOOR_LOCK,
    PAGE_NO,
    PAGE_SIZE,
    SMART_LOCK,
    WIFI_BLE,
    Api,
    Field,
    Group,
    Kind,
    LockKind,
    Params,
    Path,
    Repeat,
    paged,
    result,
)

CREDENTIAL_CODES = (
    "unlock_fingerprint",
    "unlock_password",
    "unlock_card",
    "unlock_finger_vein",
    "unlock_face",
    "unlock_hand",
    "unlock_eye",
)
"""What the vendor's own programs ask for."""

_WANTED = ",".join(CREDENTIAL_CODES)
_USER_TYPE = "10 administrator, 20 member, 30 anonymous or marked, 50 owner, 0 unknown"
_USER_ID = Field("user_id", Kind.ID)
_SN = Field("unlock_sn", Kind.NUMBER, least=0, also=("unlock_no",))
_CODE = Field("dp_code", also=("standard_dp",))
_MEMBER = (
    _USER_ID,
    Field("lock_user_id", Kind.NUMBER),
    Field("avatar_url"),
    Field("user_type", Kind.NUMBER, choices=(0, 10, 20, 30, 40, 50), note=_USER_TYPE),
    Field("nick_name"),
    Field("user_contact"),
)
_UNLOCK_TYPE = Field(
    "unlock_type",
    choices=("fingerprint", "password", "card", "face"),
    note="the samples of set and remove spell it differently; unlock_fingerprint is taken, too",
)
_UNLOCK_NO = Field(
    "unlock_no",
    Kind.NUMBER,
    least=0,
    also=("unlock_sn",),
    twin="unlock_sn",
    note="unlock_no in the table, unlock_sn in a sample: both are sent",
)
_SCHEDULE = Field(
    "schedule_details",
    Kind.LIST,
    fields=(
        Field("all_day", Kind.BOOLEAN),
        Field("effective_time", Kind.NUMBER, also=("start_minute",), note="unit unstated"),
        Field("invalid_time", Kind.NUMBER, also=("end_minute",), note="unit unstated"),
        Field("working_day", Kind.WEEKDAYS),
    ),
)


def _cancel(params: Params) -> Params:
    """The path takes a list, and ``code`` where the action has ``dp_code``."""
    one = {"code": params.pop("dp_code"), "unlock_sn": params.pop("unlock_sn")}
    return params | {"unlock_list": [one]}


def _without_pages(params: Params) -> Params:
    """The path knows no pages."""
    return {name: params[name] for name in params if name not in ("page_no", "page_size")}


USERS = (
    Api(
        "doorLock.getUser",
        Group.USERS,
        "one member of a lock",
        takes=(DEVICE, Field("user_id", Kind.ID, note="0 is the current user")),
        gives=result(*_MEMBER),
        paths=(
            Path("GET", "/v1.0/devices/{device_id}/users/{user_id}", note="another model of users"),
        ),
    ),
    Api(
        "doorLock.listUsers",
        Group.USERS,
        "the members of a lock, with what they open it with",
        takes=(
            DEVICE,
            Field("target_standard_dp_codes", Kind.CODES, default=_WANTED),
            PAGE_NO,
            PAGE_SIZE,
        ),
        gives=paged(
            *_MEMBER,
            Field("uid", note="undocumented"),
            Field("back_home_notify_attr", Kind.BOOLEAN),
            Field(
                "unlock_detail",
                Kind.LIST,
                fields=(
                    _CODE,
                    Field("open", Kind.BOOLEAN),
                    Field("count", Kind.NUMBER),
                    Field(
                        "unlock_list",
                        Kind.LIST,
                        fields=(
                            _CODE,
                            _SN,
                            Field("unlock_name"),
                            Field("unlock_attr", Kind.NUMBER, note="1 duress"),
                            Field("allocate_flag", Kind.BOOLEAN),
                        ),
                    ),
                ),
            ),
            Field("effective_flag", Kind.NUMBER, choices=(0, 1, 2)),
            Field(
                "time_schedule_info",
                Kind.OBJECT,
                fields=(
                    Field("permanent", Kind.BOOLEAN),
                    Field("effective_time", Kind.MILLISECONDS, note="unit unstated"),
                    Field("expired_time", Kind.MILLISECONDS, note="unit unstated"),
                    Field("operate", choices=("ADD", "MODIFY", "DELETE")),
                    Field("delivery_status", choices=("ONGOING", "SUCCESS", "FAILED")),
                    _SCHEDULE,
                ),
            ),
        ),
        paths=(Path("GET", SMART_LOCK + "/users", rename={"target_standard_dp_codes": "codes"}),),
        note="the sample has the rows alone, the cloud answers pages",
    ),
    Api(
        "doorLock.listUserOpmodes",
        Group.OPMODES,
        "what one member opens a lock with",
        takes=(
            DEVICE,
            _USER_ID,
            Field("target_unlock_standard_dp_codes", Kind.CODES, default=_WANTED),
            PAGE_NO,
            PAGE_SIZE,
            Field(
                "target_unlock_name",
                required=False,
                default="",
                note="undocumented; the vendor's own programs send it, empty",
            ),
        ),
        gives=paged(
            Field("user_name"),
            _USER_ID,
            Field("uid", note="undocumented"),
            Field("user_type", Kind.NUMBER, choices=(0, 10, 20, 30, 40, 50), note=_USER_TYPE),
            Field("lock_user_id", Kind.NUMBER),
            Field("unlock_name"),
            _CODE,
            _SN,
            Field("unlock_id", note="undocumented: datapoint and number, such as 12-3"),
            Field("unlock_attr", Kind.NUMBER, note="1 duress"),
            Field("photo_unlock", Kind.BOOLEAN),
        ),
        paths=(
            Path(
                "GET",
                SMART_LOCK + "/opmodes/{user_id}",
                rename={
                    "target_unlock_standard_dp_codes": "codes",
                    "target_unlock_name": "unlock_name",
                },
            ),
        ),
    ),
    Api(
        "doorLock.listUnallocatedOpmodes",
        Group.OPMODES,
        "what a lock can be opened with and nobody owns",
        takes=(DEVICE, PAGE_NO, PAGE_SIZE),
        gives=paged(
            Field("opmode", note="a datapoint's number as text"),
            Field("standard_dp"),
            Field("unlock_info", Kind.LIST, fields=(_CODE, _SN, Field("unlock_name"))),
        ),
        paths=(
            Path(
                "GET",
                DOOR_LOCK + "/unassigned-keys",
                shape=_without_pages,
                note="answers unlock_keys of another shape",
            ),
        ),
        locks=WIFI_BLE,
    ),
    Api(
        "doorLock.allocateOpmode",
        Group.OPMODES,
        "give what a lock is opened with to a member",
        takes=(
            DEVICE,
            _USER_ID,
            Field("unlock_list", Kind.LIST, least=1, fields=(_CODE, _SN)),
        ),
        gives=DONE,
        paths=(Path("POST", DOOR_LOCK + "/opmodes/actions/allocate"),),
        locks=WIFI_BLE,
        repeat=Repeat.SAME,
    ),
    Api(
        "doorLock.deallocateOpmode",
        Group.OPMODES,
        "take it away from that member again",
        takes=(DEVICE, _USER_ID, _CODE, _SN),
        gives=DONE,
        paths=(Path("POST", SMART_LOCK + "/opmodes/actions/cancel-allocate", shape=_cancel),),
        locks=WIFI_BLE,
        repeat=Repeat.SAME,
    ),
    Api(
        "doorLock.setHijack",
        Group.OPMODES,
        "opening with it raises a silent alarm from now on",
        takes=(DEVICE, _UNLOCK_NO, _UNLOCK_TYPE),
        gives=DONE,
        paths=(Path("PUT", DOOR_LOCK + "/unlock-types/{unlock_type}/keys/{unlock_no}/hijack"),),
        locks=WIFI_BLE,
        repeat=Repeat.SAME,
    ),
    Api(
        "doorLock.removeHijack",
        Group.OPMODES,
        "opening with it raises no alarm any more",
        takes=(DEVICE, _UNLOCK_NO, _UNLOCK_TYPE),
        gives=DONE,
        paths=(Path("DELETE", SMART_LOCK + "/unlock-types/{unlock_type}/keys/{unlock_no}/hijack"),),
        locks=WIFI_BLE,
        repeat=Repeat.SAME,
    ),
    Api(
        "doorLock.getSyncableOpmodeTypes",
        Group.OPMODES,
        "whether a lock should be asked now what it knows",
        takes=(DEVICE, Field("target_standard_dp_codes", Kind.CODES, default=_WANTED)),
        gives=result(
            Field("dp_id", Kind.NUMBER),
            Field("distributed", Kind.BOOLEAN, also=("distribute",)),
            Field("ins", Kind.HEXADECIMAL),
        ),
        no_path="there is no public path that answers what to send to the lock",
        locks=(LockKind.BLUETOOTH,),
        note="true at most every 5 s; the datapoint is written only then",
    ),
)
