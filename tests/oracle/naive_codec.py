"""A second codec for the wire, plain and slow, to hold beside the real one.

It was written from protocol/README.md alone. It shares no code with the package `protocol`, imports
nothing of it, and its author had not read it. So when the two disagree, one of three is wrong: the
README, this oracle, or the codec. Find out which before changing any of them.

Nothing here is clever on purpose. Whatever the README says is refused raises `Refused`.
"""

import hashlib
import struct
from typing import NamedTuple

from Crypto.Cipher import AES

ZERO16 = bytes(16)
LONGEST_MESSAGE = 1536


class Refused(Exception):
    """These bytes (or values) are none that the README allows."""


# ---------------------------------------------------------------- ciphers and checksum


def md5(data: bytes) -> bytes:
    return hashlib.md5(data).digest()


def cbc_encrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    return AES.new(key, AES.MODE_CBC, iv=iv).encrypt(data)


def cbc_decrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    return AES.new(key, AES.MODE_CBC, iv=iv).decrypt(data)


def ecb_encrypt(key: bytes, data: bytes) -> bytes:
    return AES.new(key, AES.MODE_ECB).encrypt(data)


def crc16(data: bytes) -> int:
    """Section 4, bit by bit."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            odd = register & 1
            register >>= 1
            if odd:
                register ^= 0xA001
    return register


# ---------------------------------------------------------------- section 2: fragments


def varint(value: int) -> bytes:
    if not 0 <= value < 2**28:
        raise Refused("not a varint of four bytes")
    out = []
    while value > 127:
        out.append(128 + value % 128)
        value //= 128
    out.append(value)
    return bytes(out)


def read_varint(data: bytes) -> tuple[int, bytes]:
    """The value and what is behind it."""
    value = 0
    for place in range(4):
        if place >= len(data):
            raise Refused("varint cut off")
        value += (data[place] % 128) * 128**place
        if data[place] < 128:
            return value, data[place + 1 :]
    raise Refused("varint above four bytes")


def split(message: bytes, att_payload: int, major: int, counter: int = 0) -> list[bytes]:
    if not 20 <= att_payload <= 509:
        raise Refused("size of a fragment")
    if not 1 <= len(message) <= LONGEST_MESSAGE:
        raise Refused("size of a message")
    if not 2 <= major <= 15 or not 0 <= counter <= 15:
        raise Refused("version byte")
    fragments: list[bytes] = []
    rest = message
    number = 0
    while rest or not fragments:
        head = varint(number)
        if number == 0:
            head += varint(len(message)) + bytes([major * 16 + counter])
        room = att_payload - len(head)
        fragments.append(head + rest[:room])
        rest = rest[room:]
        number += 1
    return fragments


class Collector:
    """The receiver rules of section 2. An error drops what was collected."""

    def __init__(self, limit: int = LONGEST_MESSAGE) -> None:
        self.limit = limit
        self.total: int | None = None
        self.last = 0
        self.collected = b""
        self.version = 0

    def take(self, fragment: bytes) -> bytes | None:
        """The message, if this fragment completes it."""
        try:
            return self._take(fragment)
        except Refused:
            self.total = None
            raise

    def _take(self, fragment: bytes) -> bytes | None:
        number, rest = read_varint(fragment)
        if number == 0:
            self.total, rest = read_varint(rest)
            if not 1 <= self.total <= self.limit:
                raise Refused("total")
            if not rest:
                raise Refused("no version byte")
            self.version = rest[0]
            if self.version // 16 < 2:
                raise Refused("version nibble")
            self.collected = b""
            rest = rest[1:]
        elif self.total is None:
            raise Refused("no beginning")
        elif number not in (self.last, self.last + 1):
            raise Refused("order")
        self.last = number
        self.collected += rest
        if len(self.collected) < self.total:
            return None
        message = self.collected[: self.total]
        self.total = None
        return message


def join(fragments: list[bytes], limit: int = LONGEST_MESSAGE) -> list[bytes]:
    """All messages of these fragments; the first error refuses the whole list."""
    collector = Collector(limit)
    messages = []
    for fragment in fragments:
        message = collector.take(fragment)
        if message is not None:
            messages.append(message)
    return messages


# ---------------------------------------------------------------- section 3: uuid and keys

SIX_BITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def pack_uuid(uuid: str) -> bytes:
    if len(uuid) == 16 and uuid.isascii():
        return uuid.encode("ascii")
    if len(uuid) != 20:
        raise Refused("length of a uuid")
    bits = ""
    for character in uuid:
        if character not in SIX_BITS:
            raise Refused("character of a uuid")
        bits += format(SIX_BITS.index(character), "06b")
    return int(bits, 2).to_bytes(15, "big") + b"\xff"


def unpack_uuid(uuid16: bytes) -> str:
    if len(uuid16) != 16:
        raise Refused("length of a uuid")
    if uuid16[15] == 0xFF:
        bits = format(int.from_bytes(uuid16[:15], "big"), "0120b")
        groups = [int(bits[at : at + 6], 2) for at in range(0, 120, 6)]
        if all(group < 62 for group in groups):
            return "".join(SIX_BITS[group] for group in groups)
    try:
        return uuid16.decode("ascii")
    except UnicodeDecodeError as error:
        raise Refused("neither form of a uuid") from error


class Material(NamedTuple):
    """Everything that keys are made of; None for what is not known."""

    local_key: bytes | None = None
    sec_key: bytes | None = None
    auth_key: bytes | None = None
    uuid16: bytes | None = None
    srand: bytes | None = None
    server_rand: bytes | None = None
    protocol: tuple[int, int] = (3, 0)


def need(value: bytes | None) -> bytes:
    if value is None:
        raise Refused("the key cannot be computed")
    return value


def need_srand(m: Material) -> bytes:
    srand = need(m.srand)
    if srand == bytes(6):
        raise Refused("six zero bytes are no srand")
    return srand


def k1(m: Material) -> bytes:
    auth_key = need(m.auth_key)
    return cbc_encrypt(auth_key[:16], ZERO16, auth_key + need(m.server_rand))[-16:]


def k2(m: Material) -> bytes:
    if m.protocol > (3, 0):
        return md5(k1(m) + need_srand(m))
    return md5(md5(need(m.auth_key)) + need_srand(m))


def k4(m: Material) -> bytes:
    return md5(need(m.local_key)[:6])


def k5(m: Material) -> bytes:
    return md5(need(m.local_key)[:6] + need_srand(m))


def k11(m: Material) -> bytes:
    return md5(need(m.auth_key) + need(m.uuid16) + need(m.server_rand))


def k12(m: Material) -> bytes:
    return md5(k11(m) + need_srand(m))


def k14(m: Material) -> bytes:
    return md5(need(m.local_key) + need(m.sec_key))


def k15(m: Material) -> bytes:
    return md5(need(m.local_key) + need(m.sec_key) + need_srand(m))


def k16(m: Material) -> bytes:
    return md5(need(m.auth_key) + md5(need(m.uuid16)) + need(m.server_rand))


FORMULAS = {1: k1, 2: k2, 4: k4, 5: k5, 11: k11, 12: k12, 14: k14, 15: k15, 16: k16}


def key_of(flag: int, m: Material) -> bytes | None:
    """The key of a flag; None for flag 0, which has none."""
    if flag == 0:
        return None
    if flag not in FORMULAS:
        raise Refused("unknown flag")
    return FORMULAS[flag](m)


def register_key(auth_key: bytes, server_rand: bytes = ZERO16) -> bytes:
    return ecb_encrypt(auth_key[:16], server_rand)


# ---------------------------------------------------------------- section 3: sealing


def pad(frame: bytes) -> bytes:
    missing = -len(frame) % 16
    return frame + bytes([missing]) * missing


def seal(flag: int, key: bytes | None, iv: bytes, frame: bytes) -> bytes:
    if key is None:
        if 1 + len(frame) < 17:
            raise Refused("message below 17 bytes")
        return bytes([flag]) + frame
    if len(iv) != 16:
        raise Refused("iv")
    return bytes([flag]) + iv + cbc_encrypt(key, iv, pad(frame))


def flag_and_iv(message: bytes) -> tuple[int, bytes]:
    """What can be read of a message without a key."""
    if not message:
        raise Refused("empty message")
    if message[0] == 0:
        return 0, b""
    if len(message) < 17:
        raise Refused("no iv")
    return message[0], message[1:17]


def unseal(message: bytes, key: bytes | None) -> bytes:
    """The frame with whatever is behind it."""
    flag, iv = flag_and_iv(message)
    if flag == 0:
        if len(message) < 17:
            raise Refused("message below 17 bytes")
        return message[1:]
    if flag not in FORMULAS or key is None:
        raise Refused("flag")
    ciphertext = message[17:]
    if not ciphertext or len(ciphertext) % 16 != 0:
        raise Refused("not whole blocks")
    return cbc_decrypt(key, iv, ciphertext)


# ---------------------------------------------------------------- section 4: frame


class Frame(NamedTuple):
    sn: int
    ack_sn: int
    code: int
    data: bytes


def pack_frame(frame: Frame) -> bytes:
    if not 1 <= frame.sn <= 2**32 - 1 or not 0 <= frame.ack_sn <= 2**32 - 1:
        raise Refused("number")
    if not 0 <= frame.code <= 0xFFFF or len(frame.data) > 0xFFFF:
        raise Refused("code or length")
    head = struct.pack(">IIHH", frame.sn, frame.ack_sn, frame.code, len(frame.data))
    body = head + frame.data
    return body + struct.pack(">H", crc16(body))


def read_frame(text: bytes) -> Frame:
    if len(text) < 14:
        raise Refused("below 14 bytes")
    sn, ack_sn, code, length = struct.unpack(">IIHH", text[:12])
    if 12 + length + 2 > len(text):
        raise Refused("length beyond the end")
    if len(text) - (12 + length + 2) > 16:
        raise Refused("more than 16 bytes behind the CRC")
    body = text[: 12 + length]
    if text[12 + length : 14 + length] != struct.pack(">H", crc16(body)):
        raise Refused("crc")
    return Frame(sn, ack_sn, code, body[12:])


# ---------------------------------------------------------------- a conversation


class Ear:
    """Follows one recorded conversation from both sides and keeps the randoms (3.2, 3.3)."""

    def __init__(self, material: Material) -> None:
        self.material = material
        self.central = Collector()
        self.lock = Collector()

    def new_link(self) -> None:
        self.central = Collector()
        self.lock = Collector()

    def hear(self, sender: str, value: bytes) -> tuple[int, bytes, Frame] | None:
        collector = self.central if sender == "central" else self.lock
        message = collector.take(value)
        if message is None:
            return None
        flag, iv = flag_and_iv(message)
        material = self.material
        if sender == "central" and flag in (1, 11, 16):
            material = material._replace(server_rand=iv)
        frame = read_frame(unseal(message, key_of(flag, material)))
        self.material = material
        if sender == "lock" and frame.code == 0:
            self.material = material._replace(srand=read_device_info(frame.data)["srand"])
        return flag, iv, frame


# ---------------------------------------------------------------- section 7.1: datapoints


class Point(NamedTuple):
    number: int
    kind: int
    data: bytes


def pack_points(points: list[Point], wide: int) -> bytes:
    """Write a list; `wide` is how many bytes a length has, 1 or 2."""
    out = b""
    for point in points:
        if not 0 <= point.number <= 255 or not 0 <= point.kind <= 255:
            raise Refused("datapoint")
        if len(point.data) >= 256**wide:
            raise Refused("length of a datapoint")
        out += bytes([point.number, point.kind])
        out += len(point.data).to_bytes(wide, "big") + point.data
    return out


def read_points(data: bytes, wide: int) -> list[Point]:
    points = []
    while data:
        if len(data) < 2 + wide:
            raise Refused("head of a datapoint cut off")
        length = int.from_bytes(data[2 : 2 + wide], "big")
        content = data[2 + wide : 2 + wide + length]
        if len(content) != length:
            raise Refused("datapoint beyond the end")
        points.append(Point(data[0], data[1], content))
        data = data[2 + wide + length :]
    return points


def meaning(point: Point) -> bytes | bool | int | str:
    """The value that the type claims, or the bytes where they do not suit it."""
    size = len(point.data)
    if point.kind == 1 and point.data in (b"\x00", b"\x01"):
        return point.data == b"\x01"
    if point.kind == 2 and size == 4:
        return int(struct.unpack(">i", point.data)[0])
    if point.kind == 3:
        try:
            return point.data.decode("utf-8")
        except UnicodeDecodeError:
            return point.data
    if point.kind in (4, 5) and size in (1, 2, 4):
        return int.from_bytes(point.data, "big")
    return point.data


def pack_write(points: list[Point]) -> bytes:
    """0x0002."""
    return pack_points(points, 1)


def pack_write_v4(number: int, points: list[Point]) -> bytes:
    """0x0027."""
    return b"\x00" + number.to_bytes(4, "big") + pack_points(points, 2)


def read_write_v4(data: bytes) -> tuple[int, int, list[Point]]:
    if len(data) < 5:
        raise Refused("write cut off")
    return data[0], int.from_bytes(data[1:5], "big"), read_points(data[5:], 2)


# ---------------------------------------------------------------- section 6.1: handshake


def pack_pair_request(
    uuid16: bytes,
    login_key: bytes,
    virtual_id: bytes,
    *,
    beacon_key: bytes | None = None,
    local_key: bytes | None = None,
    sec_key: bytes | None = None,
) -> bytes:
    if len(uuid16) != 16 or len(login_key) != 6 or len(virtual_id) > 22:
        raise Refused("length of a field")
    out = uuid16 + login_key + virtual_id + bytes(22 - len(virtual_id))
    if beacon_key is not None:
        return out + b"\x10" + beacon_key
    if local_key is not None and sec_key is not None:
        return out + local_key + sec_key
    return out


def read_pair_request(data: bytes) -> dict[str, bytes]:
    if len(data) not in (44, 61, 76):
        raise Refused("length of a pair request")
    fields = {"uuid16": data[:16], "login_key": data[16:22], "virtual_id22": data[22:44]}
    if len(data) == 61:
        if data[44] != 16:
            raise Refused("length of the beacon key")
        fields["beacon_key"] = data[45:61]
    if len(data) == 76:
        fields["local_key"] = data[44:60]
        fields["sec_key"] = data[60:76]
    return fields


INFO_FIELDS = (
    ("firmware", 0, 2),
    ("protocol", 2, 2),
    ("flags", 4, 1),
    ("bound", 5, 1),
    ("srand", 6, 6),
    ("hardware", 12, 2),
    ("auth", 14, 32),
    ("firmware_long", 46, 3),
    ("hardware_long", 49, 3),
    ("ability", 52, 2),
    ("reserved", 54, 1),
    ("virtual_id", 55, 22),
    ("mcu", 77, 6),
    ("wifi_mode", 83, 1),
    ("flag_word", 84, 4),
    ("address_type", 88, 1),
    ("mac", 89, 6),
)


def read_device_info(data: bytes) -> dict[str, bytes]:
    """The fields that are wholly there, each as its bytes; those with a length without it."""
    if len(data) < 46:
        raise Refused("device information below 46 bytes")
    if not 2 <= data[2] <= 15:
        raise Refused("protocol major")
    fields = {}
    for name, offset, size in INFO_FIELDS:
        if len(data) >= offset + size:
            fields[name] = data[offset : offset + size]
    at = 95
    for name in ("firmware_key", "zigbee_mac", "attached", "packet_max"):
        if len(data) <= at or len(data) < at + 1 + data[at]:
            return fields
        fields[name] = data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    if len(data) > at:
        fields["more"] = data[at:]
    return fields


def pack_device_info(fields: dict[str, bytes]) -> bytes:
    """The fields in their order, up to the first one that is not given."""
    out = b""
    for name, offset, size in INFO_FIELDS:
        if name not in fields:
            return out
        if len(out) != offset or len(fields[name]) != size:
            raise Refused("length of a field")
        out += fields[name]
    for name in ("firmware_key", "zigbee_mac", "attached", "packet_max"):
        if name not in fields:
            return out
        out += bytes([len(fields[name])]) + fields[name]
    return out + fields.get("more", b"")


# ---------------------------------------------------------------- section 6.3: reports


class Report(NamedTuple):
    """A report; None for what its command does not carry. `time` is kind and number."""

    code: int
    points: list[Point]
    version: int | None = None
    sn: int | None = None
    type: int | None = None
    mode: int | None = None
    time: tuple[int, int] | None = None


WIDE = {0x8001: 1, 0x8003: 1, 0x8004: 1, 0x8005: 1, 0x8006: 2, 0x8007: 2}
WITH_TIME = (0x8003, 0x8005, 0x8007)


def whole(value: int | None) -> int:
    if value is None:
        raise Refused("a field is missing")
    return value


def pack_time(time: tuple[int, int] | None) -> bytes:
    if time is None:
        raise Refused("time is missing")
    kind, number = time
    if kind == 0:
        return b"\x00" + digits(number, 13)
    if kind == 1:
        return b"\x01" + number.to_bytes(4, "big")
    raise Refused("kind of time")


def read_time(data: bytes) -> tuple[tuple[int, int], bytes]:
    if not data:
        raise Refused("no time")
    if data[0] == 0:
        return (0, read_digits(data[1:14], 13)), data[14:]
    if data[0] == 1 and len(data) >= 5:
        return (1, int.from_bytes(data[1:5], "big")), data[5:]
    raise Refused("time")


def report_head(code: int, r: Report) -> bytes:
    if code in (0x8004, 0x8005):
        return struct.pack(">HB", whole(r.sn), whole(r.mode))
    if code in (0x8006, 0x8007):
        return struct.pack(">BIBB", whole(r.version), whole(r.sn), whole(r.type), whole(r.mode))
    return b""


def pack_report(r: Report) -> bytes:
    out = report_head(r.code, r)
    if r.code in WITH_TIME:
        out += pack_time(r.time)
    return out + pack_points(r.points, WIDE[r.code])


def read_report(code: int, data: bytes) -> Report:
    version = sn = kind = mode = None
    time = None
    if code in (0x8004, 0x8005):
        if len(data) < 3:
            raise Refused("report cut off")
        sn, mode = struct.unpack(">HB", data[:3])
        data = data[3:]
    elif code in (0x8006, 0x8007):
        if len(data) < 7:
            raise Refused("report cut off")
        version, sn, kind, mode = struct.unpack(">BIBB", data[:7])
        data = data[7:]
    if code in WITH_TIME:
        time, data = read_time(data)
    return Report(code, read_points(data, WIDE[code]), version, sn, kind, mode, time)


def pack_report_ack(r: Report, status: int) -> bytes | None:
    """The acknowledgement of a report; None if it wants none."""
    if r.code in (0x8006, 0x8007) and whole(r.type) & 0x80:
        return None
    return report_head(r.code, r) + bytes([status])


def read_report_ack(code: int, data: bytes) -> dict[str, int]:
    if code in (0x8004, 0x8005):
        if len(data) != 4:
            raise Refused("acknowledgement of four bytes")
        sn, mode, status = struct.unpack(">HBB", data)
        return {"sn": sn, "mode": mode, "status": status}
    if code in (0x8006, 0x8007):
        if len(data) != 8:
            raise Refused("acknowledgement of eight bytes")
        version, sn, kind, mode, status = struct.unpack(">BIBBB", data)
        return {"version": version, "sn": sn, "type": kind, "mode": mode, "status": status}
    if not data:
        raise Refused("empty acknowledgement")
    return {"status": data[0]}


# ---------------------------------------------------------------- section 6.4: time


def digits(number: int, count: int) -> bytes:
    text = str(number)
    if number < 0 or len(text) > count:
        raise Refused("digits")
    return ("0" * (count - len(text)) + text).encode("ascii")


def read_digits(data: bytes, count: int) -> int:
    if len(data) != count or any(byte not in b"0123456789" for byte in data):
        raise Refused("digits")
    return int(data)


def pack_clock(unix_ms: int | None, zone: int) -> bytes:
    """0x8011; the zone in hundredths of an hour."""
    return (bytes(13) if unix_ms is None else digits(unix_ms, 13)) + struct.pack(">h", zone)


def pack_date(date: tuple[int, ...] | None, zone: int = 0) -> bytes:
    """0x8012, 0x8013: year, month, day, hour, minute, second, weekday with Sunday 0."""
    if date is None:
        return bytes(9)
    return bytes([date[0] - 2000, *date[1:]]) + struct.pack(">h", zone)


def pack_saving(unix_s: int | None, zone: int, periods: list[tuple[int, int]]) -> bytes:
    """0x8014."""
    out = bytes(10) if unix_s is None else digits(unix_s, 10)
    out += struct.pack(">hB", zone, len(periods))
    for start, end in periods:
        out += digits(start, 10) + digits(end, 10)
    return out


def read_clock(data: bytes) -> tuple[int | None, int]:
    if len(data) != 15:
        raise Refused("length")
    unix_ms = None if data[:13] == bytes(13) else read_digits(data[:13], 13)
    return unix_ms, int(struct.unpack(">h", data[13:])[0])


def read_date(data: bytes) -> tuple[tuple[int, ...] | None, int]:
    if len(data) != 9:
        raise Refused("length")
    if data == bytes(9):
        return None, 0
    return (2000 + data[0], *data[1:7]), int(struct.unpack(">h", data[7:])[0])


def read_saving(data: bytes) -> tuple[int | None, int, list[tuple[int, int]]]:
    if len(data) < 13 or len(data) != 13 + 20 * data[12]:
        raise Refused("length")
    unix_s = None if data[:10] == bytes(10) else read_digits(data[:10], 10)
    periods = []
    for at in range(13, len(data), 20):
        start, end = data[at : at + 10], data[at + 10 : at + 20]
        periods.append((read_digits(start, 10), read_digits(end, 10)))
    return unix_s, int(struct.unpack(">h", data[10:12])[0]), periods


# ---------------------------------------------------------------- section 7.3: code and opening


def pack_check_code_set(
    peripheral: int, code: bytes, operation: int, new_central: int, new_code: bytes
) -> bytes:
    return struct.pack(">HH8sBH8s", 0xFFFF, peripheral, code, operation, new_central, new_code)


def read_check_code_reply(data: bytes) -> dict[str, int | bytes]:
    if len(data) != 16:
        raise Refused("length")
    names = ("peripheral", "central", "code", "operation", "new_central", "result")
    return dict(zip(names, struct.unpack(">HH8sBHB", data), strict=True))


class Opening(NamedTuple):
    """The fields of `OpenRequest`, and of `OpenReply` and `OpenRecord` but for the tail."""

    central: int
    peripheral: int
    code: bytes
    operation: int
    timestamp: int
    method: int
    tail: bytes


def pack_open_request(o: Opening) -> bytes:
    head = (o.central, o.peripheral, o.code, o.operation, o.timestamp, o.method)
    return struct.pack(">HH8sBIB", *head) + o.tail


def pack_open_reply(o: Opening) -> bytes:
    """The same with the ids swapped; the tail is the result."""
    return pack_open_request(o._replace(central=o.peripheral, peripheral=o.central))


def read_open_request(data: bytes) -> Opening:
    if len(data) < 18:
        raise Refused("length")
    central, peripheral, code, operation, timestamp, method = struct.unpack(">HH8sBIB", data[:18])
    return Opening(central, peripheral, code, operation, timestamp, method, data[18:])


def read_open_reply(data: bytes) -> Opening:
    swapped = read_open_request(data)
    return swapped._replace(central=swapped.peripheral, peripheral=swapped.central)


# ---------------------------------------------------------------- section 1.4: advertising


class Advert(NamedTuple):
    """What an advertisement says; None for what is not in it."""

    form: str
    major: int
    bound: bool | None
    shared: bool | None
    connect_request: bool | None
    security_v2: bool
    id_type: int | None
    id_field: bytes | None
    keyed_by: bytes | None
    id16: bytes | None


def ad_structures(data: bytes) -> list[tuple[int, bytes]]:
    structures = []
    while data and data[0] != 0:
        if len(data) < 1 + data[0]:
            raise Refused("structure beyond the end")
        structures.append((data[1], data[2 : 1 + data[0]]))
        data = data[1 + data[0] :]
    return structures


def content_of(structures: list[tuple[int, bytes]], kind: int, number: int) -> bytes | None:
    """What stands behind a little-endian 16-bit number in a structure of this kind."""
    for found, data in structures:
        if found == kind and data[:2] == struct.pack("<H", number):
            return data[2:]
    return None


def listed_uuids(structures: list[tuple[int, bytes]]) -> list[int]:
    uuids = []
    for kind, data in structures:
        if kind in (2, 3):
            uuids += [data[at] + 256 * data[at + 1] for at in range(0, len(data) - 1, 2)]
    return uuids


def form_of(structures: list[tuple[int, bytes]]) -> str | None:
    """The order of the README, one line each."""
    oldest = content_of(structures, 0xFF, 0x0259)
    maker = content_of(structures, 0xFF, 0x07D0)
    if content_of(structures, 0x16, 0xFD50) is not None:
        return "v4"
    if content_of(structures, 0x16, 0xA201) is not None:
        return "v3"
    if oldest is not None and len(oldest) == 26 and oldest[1] == 2:
        return "v2"
    if maker is not None and len(maker) == 22 and maker[1] == 3:
        return "v3"
    if 0xFD50 in listed_uuids(structures) or (maker is not None and len(maker) == 20):
        return "v4"
    if 0xA201 in listed_uuids(structures):
        return "v3" if maker is not None else "v2"
    return None


def read_v2(structures: list[tuple[int, bytes]]) -> Advert:
    maker = content_of(structures, 0xFF, 0x0259)
    if maker is None or len(maker) != 26:
        return Advert("v2", 2, None, None, None, False, None, None, None, None)
    bound = bool(maker[0] & 0x80)
    return Advert("v2", 2, bound, None, None, False, None, maker[2:10], maker[2:10], maker[10:])


def read_v3(structures: list[tuple[int, bytes]]) -> Advert:
    service = content_of(structures, 0x16, 0xA201)
    maker = content_of(structures, 0xFF, 0x07D0)
    id_type = id_field = id16 = bound = shared = request = None
    if service:
        id_type, id_field = service[0], service[1:]
    if maker is not None and len(maker) == 22:
        bound, shared, request = bool(maker[0] & 0x80), bool(maker[0] & 2), bool(maker[0] & 1)
        id16 = maker[6:]
    return Advert("v3", 3, bound, shared, request, False, id_type, id_field, id_field, id16)


def read_v4(structures: list[tuple[int, bytes]]) -> Advert:
    service = content_of(structures, 0x16, 0xFD50)
    maker = content_of(structures, 0xFF, 0x07D0)
    id_type = id_field = bound = shared = request = id16 = None
    major, security_v2 = 4, False
    if service is not None:
        if len(service) < 2:
            raise Refused("frame control cut off")
        control = service[0] * 256 + service[1]
        major, security_v2 = control >> 12, bool(control & 4)
        bound, shared, request = bool(control & 0x800), bool(control & 0x400), bool(control & 0x200)
        if control & 0x100:
            if len(service) < 4 or len(service) < 4 + service[3]:
                raise Refused("id field cut off")
            id_type, id_field = service[2], service[4 : 4 + service[3]]
    if maker is not None and len(maker) == 20 and maker[0] not in (6, 7, 8):
        id16 = maker[4:]
    return Advert(
        "v4", major, bound, shared, request, security_v2, id_type, id_field, service, id16
    )


def read_advertisement(adv: bytes, scan_rsp: bytes) -> Advert:
    structures = ad_structures(adv) + ad_structures(scan_rsp)
    form = form_of(structures)
    if form == "v2":
        return read_v2(structures)
    if form == "v3":
        return read_v3(structures)
    if form == "v4":
        return read_v4(structures)
    raise Refused("no advertisement of a lock")


def advertised_uuid16(advert: Advert) -> bytes | None:
    if advert.id16 is None or advert.keyed_by is None:
        return None
    key = md5(advert.keyed_by)
    return cbc_decrypt(key, key, advert.id16)


def bound_id(uuid16: bytes, login_key: bytes, size: int) -> bytes:
    return ecb_encrypt(login_key + uuid16[:10], uuid16.hex().lower().encode("ascii"))[:size]


def bound_id_v2(uuid16: bytes, sec_key: bytes, size: int) -> bytes:
    return ecb_encrypt(md5(sec_key), uuid16.hex().upper().encode("ascii"))[:size]


def structure(kind: int, data: bytes) -> bytes:
    return bytes([1 + len(data), kind]) + data


def pack_advert_v2(flag: int, id_field: bytes, uuid16: bytes) -> tuple[bytes, bytes]:
    key = md5(id_field)
    maker = b"\x59\x02" + bytes([flag, 2]) + id_field + cbc_encrypt(key, key, uuid16)
    adv = structure(1, b"\x06") + structure(9, b"TY") + structure(2, b"\x01\xa2")
    return adv, structure(0xFF, maker)


def pack_advert_v3(
    flag: int, id_type: int, id_field: bytes, uuid16: bytes, name: bytes
) -> tuple[bytes, bytes]:
    key = md5(id_field)
    service = b"\x01\xa2" + bytes([id_type]) + id_field
    maker = b"\xd0\x07" + bytes([flag, 3, 0, 0, 1, 0]) + cbc_encrypt(key, key, uuid16)
    adv = structure(1, b"\x06") + structure(2, b"\x01\xa2") + structure(0x16, service)
    return adv, structure(9, name) + structure(0xFF, maker)


def pack_advert_v4(
    service: bytes, ability: int, flag: int, uuid16: bytes, name: bytes
) -> tuple[bytes, bytes]:
    """`service` is the service data with its frame control."""
    key = md5(service)
    maker = b"\xd0\x07" + struct.pack(">BHB", 0, ability, flag) + cbc_encrypt(key, key, uuid16)
    adv = structure(1, b"\x06") + structure(2, b"\x50\xfd") + structure(0x16, b"\x50\xfd" + service)
    return adv, structure(0xFF, maker) + structure(9, name)
