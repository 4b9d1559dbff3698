"""APIs about devices, and those that an opening over Bluetooth is made of."""

from __future__ import annotations

from .entry import (
    DEVICE,
    DONE,
    Api,
    Field,
    Group,
    Kind,
    LockKind,
    Path,
    Repeat,
    result,
    results,
)

_BLUETOOTH = (LockKind.BLUETOOTH,)
_NO_SEALING = "there is no public path to open a Bluetooth lock"
_STATUS = (Field("code"), Field("value", Kind.ANY))

_SEALING = (
    DEVICE,
    Field("bluetooth_sn", Kind.NUMBER, least=1, most=2**32 - 1),
    Field(
        "device_random",
        secret=True,
        note="the texts disagree: the issued check code, or the random of the connection",
    ),
)
_SEALED = result(
    Field("instruction", Kind.HEXADECIMAL, secret=True, note="a whole sealed message"),
    Field("next_sn", Kind.NUMBER),
)
_ISSUED = (
    Field("distribute", Kind.BOOLEAN, also=("distributed",)),
    Field("wake_up_ins", Kind.HEXADECIMAL, secret=True),
    Field("dp_id", Kind.NUMBER),
    Field("ins", Kind.HEXADECIMAL, secret=True),
    Field("dev_unlock_id", Kind.HEXADECIMAL, note="the lock's id, and described as records"),
)

BLUETOOTH = (
    Api(
        "doorLock.getIssuedConfig",
        Group.BLUETOOTH,
        "the check code of a lock, and whether it has to be sent",
        takes=(DEVICE,),
        gives=result(
            Field("lock_random", Kind.OBJECT, fields=_ISSUED),
            Field("lock_record", Kind.OBJECT, fields=_ISSUED),
        ),
        no_path=_NO_SEALING,
        locks=_BLUETOOTH,
        note="distribute in the table, distributed in the sample; dp_id and dpId in one answer",
    ),
    Api(
        "doorLock.bleOpenInstruction",
        Group.BLUETOOTH,
        "a sealed instruction that opens or locks",
        takes=(
            *_SEALING,
            Field("open", Kind.BOOLEAN, required=False, default=True, note="no default is stated"),
            Field(
                "bluetooth_major_version",
                Kind.NUMBER,
                required=False,
                default=3,
                least=2,
                most=9,
            ),
        ),
        gives=_SEALED,
        no_path=_NO_SEALING,
        locks=_BLUETOOTH,
        repeat=Repeat.ONCE,
        note="replaces doorLock.unlockInstruction, and is for the same locks",
    ),
    Api(
        "doorLock.unlockInstruction",
        Group.BLUETOOTH,
        "a sealed instruction that opens; the one before it",
        takes=_SEALING,
        gives=_SEALED,
        no_path=_NO_SEALING,
        locks=_BLUETOOTH,
        repeat=Repeat.ONCE,
        note="the sample's instruction is a ticket's id",
    ),
    Api(
        "device.pairingAuthKey",
        Group.BLUETOOTH,
        "the key with which a new device is bound",
        takes=(
            Field("home_id", Kind.ID),
            Field("uuid", Kind.ID),
            Field("uid", Kind.ID),
        ),
        gives=result(
            Field("encrypted_auth_key", secret=True),
            Field("random", secret=True, also=("rondom",), note="rondom in the sample"),
        ),
        no_path="there is no public path",
    ),
)

DEVICES = (
    Api(
        "device.status",
        Group.DEVICES,
        "the latest values of a device",
        takes=(DEVICE,),
        gives=results(*_STATUS),
        paths=(
            Path("GET", "/v1.0/devices/{device_id}/status"),
            Path("GET", "/v1.0/iot-03/devices/{device_id}/status"),
        ),
        note="documented as a boolean, sampled as a list",
    ),
    Api(
        "device.control",
        Group.DEVICES,
        "send commands to a device",
        takes=(
            DEVICE,
            Field(
                "commands",
                Kind.LIST,
                least=1,
                fields=_STATUS,
                note="documented as an object, sampled as a list",
            ),
        ),
        gives=DONE,
        paths=(
            Path("POST", "/v1.0/devices/{device_id}/commands"),
            Path("POST", "/v1.0/iot-03/devices/{device_id}/commands"),
        ),
        repeat=Repeat.ONCE,
        moves=True,
        note="no sample of an answer",
    ),
    Api(
        "device.getListByIds",
        Group.DEVICES,
        "what the cloud knows of devices, keys included",
        takes=(Field("device_ids", Kind.CODES),),
        gives=results(
            Field("id", Kind.ID, also=("device_id",)),
            Field("uid"),
            Field("local_key", secret=True),
            Field("sec_key", secret=True, note="undocumented"),
            Field("category"),
            Field("product_id"),
            Field("product_name", note="undocumented"),
            Field("sub", Kind.BOOLEAN),
            Field("uuid"),
            Field("owner_id", Kind.ID),
            Field("online", Kind.BOOLEAN, also=("is_online",)),
            Field("name"),
            Field("ip"),
            Field("time_zone"),
            Field("create_time", Kind.SECONDS),
            Field("update_time", Kind.SECONDS),
            Field("active_time", Kind.SECONDS, note="last paired: the T0 of offline passwords"),
            Field("status", Kind.LIST, fields=_STATUS),
            Field("biz_type", Kind.NUMBER, note="undocumented"),
            Field("icon", note="undocumented"),
            Field("lat", note="undocumented"),
            Field("lon", note="undocumented"),
        ),
        paths=(Path("GET", "/v1.0/devices"), Path("GET", "/v1.0/iot-03/devices")),
    ),
    Api(
        "timer.currentTime",
        Group.DEVICES,
        "the cloud's time",
        gives=Field("result", Kind.MILLISECONDS),
        no_path="there is no path, and every answer has the time",
        note="the sample has result and success exchanged",
    ),
)
