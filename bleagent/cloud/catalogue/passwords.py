"""APIs about passwords: temporary, dynamic and offline ones.

A PIN is sent encrypted with a ticket that is good once: ``bleagent.cloud.passwords``.
"""

from __future__ import annotations

from dataclasses import replace

from .entry import (
    DEVICE,
    DONE,
    DOOR_LOCK,
    MOST,
    MOST_AND_ACCESS,
    SMART_LOCK,
    Api,
    Field,
    Form,
    Group,
    Kind,
    LockKind,
    Path,
    Repeat,
    result,
    results,
)

_NO_CHANGE = {
    LockKind.BLUETOOTH: "Bluetooth locks cannot change a password's digits: delete it and create "
    "another one"
}
_ENCRYPTED = "of 7 digits for Wi-Fi locks, 6 for the others, encrypted with the ticket's key"
_SCHEDULE = Field(
    "schedule_list",
    Kind.LIST,
    required=False,
    fields=(
        Field("effective_time", Kind.MINUTES),
        Field("invalid_time", Kind.MINUTES),
        Field("working_day", Kind.WEEKDAYS),
    ),
)
_PASSWORD_ID = Field("password_id", Kind.ID, also=("id",), as_number=True)
_TYPE = Field(
    "type",
    Kind.NUMBER,
    required=False,
    required_for=(LockKind.ZIGBEE,),
    choices=(0, 1),
    note="1 good once, 0 as often as one likes",
)
_SYMBOLIC = Field(
    "bluetooth_symbolic",
    Kind.BOOLEAN,
    required=False,
    default_for={LockKind.BLUETOOTH: True},
    note="true for Bluetooth locks",
)
_SN = Field("sn", Kind.NUMBER, required=False, least=0, note="its number in a Bluetooth lock")
_PHONE = Field("phone", required=False, note="text or a number")
_ZONE = Field("time_zone", required=False, note="needed with schedule_list")
_SECRET_PARTS = (
    Field("password", Kind.HEXADECIMAL, secret=True, note=_ENCRYPTED, least=32, most=64),
    Field("effective_time", Kind.SECONDS),
    Field("invalid_time", Kind.SECONDS),
    Field("password_type", default="ticket", choices=("ticket",), note="its value is not stated"),
    Field("ticket_id", Kind.ID, secret=True),
)
_CREATES = (*_SECRET_PARTS, _PHONE, _TYPE, _ZONE, _SCHEDULE, _SYMBOLIC, _SN)
_ID = result(Field("id", Kind.ID, also=("password_id",)))

_TOLD = (
    Field("password_id", Kind.ID, also=("id",), note="password_id in samples, id in tables"),
    Field("name"),
    Field(
        "phase",
        Kind.NUMBER,
        note="Zigbee 1 to be created, 2 normal, 3 frozen, 4 deleted, 5 failed; Wi-Fi and "
        "Bluetooth 0 deleted, 1 to be sent, 2 sent, 3 to be deleted; Bluetooth 7 failed to send",
    ),
    Field("effective_time", Kind.SECONDS),
    Field("invalid_time", Kind.SECONDS),
    Field("phone"),
    Field("time_zone"),
    Field("delivery_status", Kind.NUMBER, choices=(1, 2, 3, 4, 5, 6)),
    _SCHEDULE,
    Field("sn", Kind.NUMBER),
)

PASSWORDS = (
    Api(
        "doorLock.passwordTicket",
        Group.PASSWORDS,
        "a key to encrypt one PIN with, good once",
        takes=(DEVICE,),
        gives=result(
            Field("ticket_id", Kind.ID, secret=True),
            Field("ticket_key", secret=True),
            Field("expire_time", Kind.NUMBER, note="seconds that are left, as it seems"),
        ),
        paths=(
            Path("POST", DOOR_LOCK + "/password-ticket"),
            Path("POST", SMART_LOCK + "/password-ticket"),
        ),
        locks=MOST,
        repeat=Repeat.SAME,
    ),
    Api(
        "doorLock.getTemporaryPassword",
        Group.PASSWORDS,
        "one temporary password, without its digits",
        takes=(DEVICE, _PASSWORD_ID),
        gives=result(*_TOLD),
        paths=(Path("GET", DOOR_LOCK + "/temp-password/{password_id}"),),
        locks=MOST_AND_ACCESS,
    ),
    Api(
        "doorLock.getTemporaryPasswordList",
        Group.PASSWORDS,
        "the temporary passwords of a lock",
        takes=(
            DEVICE,
            Field("valid", Kind.BOOLEAN, default=True, note="required, and not in the sample"),
        ),
        gives=results(*_TOLD),
        paths=(
            Path("GET", DOOR_LOCK + "/temp-passwords"),
            Path("GET", SMART_LOCK + "/stand-by-lock-temp-passwords"),
        ),
        locks=MOST_AND_ACCESS,
    ),
    Api(
        "doorLock.createTemporaryPassword",
        Group.PASSWORDS,
        "create a temporary password",
        takes=(DEVICE, Field("name", most=64), *_CREATES),
        gives=_ID,
        paths=(Path("POST", DOOR_LOCK + "/temp-password"),),
        locks=MOST_AND_ACCESS,
        repeat=Repeat.ONCE,
        note="wrongly encrypted digits are answered with 1109",
    ),
    Api(
        "doorLock.createTemporaryPasswordWithoutName",
        Group.PASSWORDS,
        "create a temporary password that has no name",
        takes=(DEVICE, *_CREATES),
        gives=_ID,
        paths=(Path("POST", "/v2.0/devices/{device_id}/door-lock/temp-password"),),
        locks=MOST,
        repeat=Repeat.ONCE,
    ),
    Api(
        "doorLock.modifyTemporaryPassword",
        Group.PASSWORDS,
        "change a temporary password, or its name alone",
        takes=(
            DEVICE,
            _PASSWORD_ID,
            Field("name", required=False, most=64),
            Field(
                "password",
                Kind.HEXADECIMAL,
                required=False,
                secret=True,
                note=_ENCRYPTED,
                least=32,
                most=64,
                not_for=_NO_CHANGE,
            ),
            Field("effective_time", Kind.SECONDS, required=False),
            Field("invalid_time", Kind.SECONDS, required=False),
            Field("password_type", required=False, choices=("ticket",), not_for=_NO_CHANGE),
            Field("ticket_id", Kind.ID, required=False, secret=True, not_for=_NO_CHANGE),
            _PHONE,
            _TYPE,
            _ZONE,
            _SCHEDULE,
            _SYMBOLIC,
        ),
        forms=(
            Form(
                "modify",
                ("password", "effective_time", "invalid_time", "password_type", "ticket_id"),
            ),
            Form("rename", ("name",)),
        ),
        gives=DONE,
        paths=(Path("PUT", DOOR_LOCK + "/temp-passwords/{password_id}/modify-password"),),
        locks=MOST_AND_ACCESS,
        repeat=Repeat.SAME,
        note="two sections of the document: in one all but the name is needed, in one the name",
    ),
    Api(
        "doorLock.deleteTemporaryPassword",
        Group.PASSWORDS,
        "delete a temporary password",
        takes=(DEVICE, replace(_PASSWORD_ID, as_number=False), _SYMBOLIC),
        gives=DONE,
        paths=(Path("DELETE", DOOR_LOCK + "/temp-passwords/{password_id}"),),
        locks=MOST_AND_ACCESS,
        repeat=Repeat.SAME,
    ),
    Api(
        "doorLock.removalInvalidTempPasswords",
        Group.PASSWORDS,
        "forget the temporary passwords that have ended",
        takes=(DEVICE,),
        gives=DONE,
        no_path="there is no public path; the one that resets passwords takes the good ones, too",
        locks=MOST,
        repeat=Repeat.SAME,
        note='"currently being developed", says the document',
    ),
    Api(
        "doorLock.getDynamicPassword",
        Group.PASSWORDS,
        "a password that is good for five minutes",
        takes=(DEVICE,),
        gives=result(Field("dynamic_password", secret=True)),
        paths=(Path("GET", DOOR_LOCK + "/dynamic-password"),),
        locks=MOST,
    ),
    Api(
        "doorLock.deleteOfflinePassword",
        Group.PASSWORDS,
        "a code that deletes an offline password at the lock",
        takes=(
            Field("device_id", Kind.ID, note="of the path: no document describes the action"),
            Field("password_id", Kind.ID, note="of the path: no document describes the action"),
        ),
        gives=result(
            Field("offline_temp_password", secret=True),
            Field("offline_temp_password_id", Kind.ID),
            Field("offline_temp_password_name"),
        ),
        paths=(
            Path(
                "POST",
                "/v1.1/devices/{device_id}/door-lock/offline-temp-password",
                fixed={"type": "clear_one"},
            ),
        ),
        repeat=Repeat.SAME,
        note="listed, and described nowhere",
    ),
)
