"""Secrets, uuids and every key derivation, against literals and recordings."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import traceback
from dataclasses import dataclass, replace
from hashlib import md5
from pathlib import Path

import pytest
from Crypto.Cipher import AES
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LocalProtocolError, SealError
from protocol.keys import KeyRing, LockKeys, Secret, SecurityFlag, pack_uuid, unpack_uuid

CAPTURES = Path(__file__).resolve().parents[1] / "captures"
CANARY = b"canary-7f3c9a"
ALPHANUMERIC = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

# Source: github.com/ha-tuya-ble/ha_tuya_ble @330de88 tests/test_security.py (MIT), as
# tests/captures/field/field.json "vec-ha-tuya-ble-kdf" has it. Its uuid is not in there.
VECTOR = LockKeys(
    uuid="0000000000000000",
    local_key=Secret("0123456789abcdef"),
    sec_key=Secret("fedcba9876543210"),
)
VECTOR_SRAND = bytes.fromhex("010203040506")
# Source: https://revspace.nl/wiki/index.php?title=BT785 and github.com/bertrik/bt785 (MIT),
# entries "bt785-*" of field.json.
BT785 = LockKeys(
    uuid="ebc1a468b06623eb",
    virtual_id="bf6a84mfykubbij3",
    local_key=Secret("<z)o}Ezmuw01.TxQ"),
)
# Names and lengths only; the values are made up.
WHOLE = LockKeys(
    uuid="tuya148eb9a4ece0",
    virtual_id="bfl965j0cb6s1v3dr1yg49",
    local_key=Secret("L" * 16),
    sec_key=Secret("S" * 16),
    auth_key=Secret("A" * 32),
)


def ring_of(keys: LockKeys, *, srand: bytes | None = None) -> KeyRing:
    ring = KeyRing(keys)
    ring.learn_srand(srand)
    return ring


# -- Secret


@dataclass(frozen=True)
class Holder:
    """Something that has a secret."""

    secret: Secret


class Logged:
    """A handler's whole output."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.logger = logging.Logger("codec-test")  # noqa: LOG001 - of this test alone
        self.logger.addHandler(logging.StreamHandler(self.stream))


@pytest.mark.parametrize(
    "shown",
    [
        repr(Secret(CANARY)),
        str(Secret(CANARY)),
        f"{Secret(CANARY)}",
        f"{Secret(CANARY)!r}",
        "{}".format(Secret(CANARY)),  # noqa: UP032 - this very way of formatting
        "%s %r" % (Secret(CANARY), Secret(CANARY)),  # noqa: UP031 - as above
        format(Secret(CANARY)),
        repr(Holder(Secret(CANARY))),
        repr([Secret(CANARY)]),
        repr(replace(WHOLE, local_key=Secret(CANARY + b"abc"))),
        repr(ring_of(WHOLE, srand=CANARY[:6])),
    ],
)
def test_a_secret_is_masked_wherever_it_is_shown(shown: str) -> None:
    assert "canary" not in shown
    assert CANARY.hex() not in shown


def test_the_mask_says_how_long_the_secret_is() -> None:
    assert repr(Secret(CANARY)) == "Secret(13 bytes)"


def test_a_secret_is_masked_in_a_log() -> None:
    logged = Logged()
    logged.logger.warning("key %s, %r, %s", Secret(CANARY), Secret(CANARY), Holder(Secret(CANARY)))
    assert "Secret(13 bytes)" in logged.stream.getvalue()
    assert "canary" not in logged.stream.getvalue()


def test_a_secret_is_masked_in_a_traceback_that_shows_locals() -> None:
    def fails(secret: Secret) -> None:
        raise LocalProtocolError(f"not with {secret}")

    try:
        fails(Secret(CANARY))
    except LocalProtocolError as error:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        text = "".join(told.format())
    assert "secret = Secret(13 bytes)" in text
    assert "not with Secret(13 bytes)" in text
    assert "canary" not in text.replace("CANARY", "")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Holder(Secret(CANARY)), protocol)


def test_a_secret_is_not_copied_or_made_json_by_accident() -> None:
    with pytest.raises(TypeError):
        copy.deepcopy(Secret(CANARY))
    with pytest.raises(TypeError):
        json.dumps({"key": Secret(CANARY)})


def test_only_reveal_gives_it_away() -> None:
    secret = Secret(CANARY)
    assert secret.reveal() == CANARY
    assert len(secret) == 13
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError):
        bytes(secret)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        iter(secret)  # type: ignore[call-overload]


def test_text_is_taken_as_utf8() -> None:
    assert Secret("clé").reveal() == b"cl\xc3\xa9"


def test_a_secret_keeps_its_own_copy() -> None:
    raw = bytearray(CANARY)
    secret = Secret(raw)  # type: ignore[arg-type]
    raw[:] = bytes(13)
    assert secret.reveal() == CANARY


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_secrets_are_equal_exactly_when_their_bytes_are(one: bytes, other: bytes) -> None:
    assert (Secret(one) == Secret(other)) is (one == other)
    assert (Secret(one) != Secret(other)) is (one != other)


def test_every_byte_counts_and_so_does_the_length() -> None:
    for index in range(len(CANARY)):
        other = bytearray(CANARY)
        other[index] ^= 1
        assert Secret(CANARY) != Secret(bytes(other))
    assert Secret(CANARY) != Secret(CANARY[:-1])
    assert Secret(CANARY) != Secret(CANARY + b"\0")


def test_a_secret_equals_nothing_but_a_secret() -> None:
    secret: object = Secret(CANARY)
    assert secret != CANARY
    assert secret != CANARY.decode()
    assert secret != None  # noqa: E711 - the comparison is the claim


def test_equal_secrets_are_one_key_of_a_dictionary() -> None:
    assert len({Secret(CANARY), Secret(CANARY), Secret(b"other")}) == 2
    # A hash table must not show what a plain hash of the bytes would.
    assert hash(Secret(CANARY)) != hash(CANARY)


# -- uuid


def test_every_recorded_uuid_has_its_bytes_on_the_wire() -> None:
    found = json.loads((CAPTURES / "firmware/advertisements.json").read_text())["advertisements"]
    packed = 0
    for one in found:
        wire = bytes.fromhex(one["parsed"]["uuid_plain"])
        assert pack_uuid(one["keys"]["uuid"]) == wire, one["name"]
        assert unpack_uuid(wire) == one["keys"]["uuid"], one["name"]
        packed += len(one["keys"]["uuid"]) == 20
    assert (len(found), packed) == (17, 3)


@pytest.mark.parametrize(
    ("uuid", "wire"),
    [
        # Source: tests/captures/firmware/advertisements.json.
        ("tuyad83001721904", "74757961643833303031373231393034"),
        ("Xjm3M3NbvpXdlQ59hlLf", "ed3583c03c4b7d9ecd574149455bcfff"),
        ("vZAevFXFDIqrPDC2ElKM", "7fd90e7e9ee99ec69bce7982a15bb0ff"),
        ("qwWXVEfPYeX2H5gXRMEK", "6a0ebbe683f3f0eec2ac543bd70a2eff"),
        # The ends of the alphabet, 6 bits each.
        ("0" * 20, "00" * 15 + "ff"),
        ("1" + "0" * 19, "04" + "00" * 14 + "ff"),
        ("0" * 19 + "Z", "00" * 14 + "3dff"),
    ],
)
def test_a_uuid_of_20_characters_is_packed_and_one_of_16_is_not(uuid: str, wire: str) -> None:
    assert pack_uuid(uuid).hex() == wire
    assert unpack_uuid(bytes.fromhex(wire)) == uuid


@given(
    st.text(ALPHANUMERIC, min_size=20, max_size=20)
    | st.text(ALPHANUMERIC, min_size=16, max_size=16)
)
def test_uuids_survive_the_round_trip(uuid: str) -> None:
    assert len(pack_uuid(uuid)) == 16
    assert unpack_uuid(pack_uuid(uuid)) == uuid


@pytest.mark.parametrize(
    "uuid", ["", "a" * 15, "a" * 17, "a" * 19, "a" * 21, "é" * 16, "-" * 20, "é" * 20, "²" * 20]
)
def test_anything_else_is_no_uuid_of_ours(uuid: str) -> None:
    with pytest.raises(LocalProtocolError):
        pack_uuid(uuid)


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"a" * 15,
        b"a" * 17,
        b"a" * 15 + b" ",
        b"a" * 15 + b"\x7f",
        b"\xff" * 16,  # 63 is no sign of the alphabet
        bytes(14) + b"\x3e\xff",  # nor is 62
    ],
)
def test_bytes_that_are_no_uuid_are_the_peers_fault(wire: bytes) -> None:
    with pytest.raises(SealError):
        unpack_uuid(wire)


# -- LockKeys


def test_the_ids_go_over_the_air_at_their_full_length() -> None:
    assert BT785.uuid16 == b"ebc1a468b06623eb"
    assert BT785.virtual_id22 == b"bf6a84mfykubbij3" + bytes(6)
    assert WHOLE.virtual_id22 == b"bfl965j0cb6s1v3dr1yg49"


def test_the_login_key_is_the_first_six_characters() -> None:
    assert BT785.login_key == Secret("<z)o}E")
    with pytest.raises(LocalProtocolError, match="local key"):
        _ = LockKeys(uuid=BT785.uuid).login_key


@pytest.mark.parametrize(
    "change",
    [
        {"uuid": "short"},
        {"virtual_id": "v" * 23},
        {"virtual_id": "é"},
        {"local_key": Secret("L" * 15)},
        {"local_key": Secret("L" * 6)},
        {"sec_key": Secret("S" * 17)},
        {"auth_key": Secret("A" * 31)},
    ],
)
def test_keys_of_another_length_are_refused_without_showing_them(change: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError) as told:
        replace(WHOLE, **change)  # type: ignore[arg-type]
    assert "LLL" not in str(told.value)
    assert "AAA" not in str(told.value)


# -- derivations, against literals


@pytest.mark.parametrize(
    ("flag", "key"),
    [
        (SecurityFlag.LOGIN, "d6a9a933c8aafc51e55ac0662b6e4d4a"),
        (SecurityFlag.SESSION, "a776a41c02fd75d3831a926549482d93"),
        (SecurityFlag.V2_LOGIN, "957b49743a06a938c9246950faadbaa9"),
        (SecurityFlag.V2_SESSION, "316fa9b0eab1ca83b7ffff2e97379659"),
    ],
)
def test_a_public_vector_gives_the_keys_of_bound_locks(flag: SecurityFlag, key: str) -> None:
    assert ring_of(VECTOR, srand=VECTOR_SRAND).key(flag).hex() == key


@pytest.mark.parametrize(
    ("srand", "session"),
    [
        ("c4984a2a590f", "4d87642352aee6a82bccd6e6d2b4c049"),
        ("5c5d9a1deaa9", "fb5c4ff03d5422e12316494c1dc64855"),
    ],
)
def test_a_real_device_gives_its_published_keys(srand: str, session: str) -> None:
    ring = ring_of(BT785, srand=bytes.fromhex(srand))
    assert ring.key(SecurityFlag.LOGIN).hex() == "64ba62ad750c312d08e10aa343769fbf"
    assert ring.key(SecurityFlag.SESSION).hex() == session


def test_a_unit_test_vector_gives_its_keys() -> None:
    # Source: github.com/roquerodrigo/tuya-ble-sdk tests/test_wire_vectors.py, field.json
    # "vec-roquerodrigo-*".
    keys = LockKeys(uuid="0" * 16, local_key=Secret("abcdef0123456789"))
    ring = ring_of(keys, srand=b"srand!")
    assert ring.key(4).hex() == "e80b5017098950fc58aad83c8c14978e"
    assert ring.key(5).hex() == "ba9ea9346236b843c695231afa4bba18"


def test_the_unbind_key_of_security_v2_is_what_the_reference_says() -> None:
    # No recording has flag 16 (reference: protocol §3.1, §9.4), so the formula is written out.
    ring = KeyRing(WHOLE)
    ring.learn_server_rand(bytes(range(16)))
    formula = md5(b"A" * 32 + md5(b"tuya148eb9a4ece0").digest() + bytes(range(16))).digest()
    assert ring.key(SecurityFlag.V2_ANOMALY) == formula


# -- derivations, against recordings of locks that are not bound yet


@dataclass(frozen=True)
class Recorded:
    """One sealed message of a recording, with the plaintext its recorder wrote beside it."""

    sender: str
    sealed: bytes
    flag: int
    data: bytes

    def opens_with(self, key: bytes) -> bool:
        plain = AES.new(key, AES.MODE_CBC, self.sealed[1:17]).decrypt(self.sealed[17:])
        size = int.from_bytes(plain[10:12], "big")
        return size == len(self.data) and plain[12 : 12 + size] == self.data


def recording(name: str) -> tuple[LockKeys, list[Recorded]]:
    """The keys of a recording and its messages, joined here without the codec under test."""
    lines = (CAPTURES / f"firmware/{name}.jsonl").read_text().splitlines()
    header, *events = (json.loads(line) for line in lines)
    found = header["keys"]
    keys = LockKeys(
        uuid=found["uuid"],
        virtual_id=found["virtual_id"],
        local_key=Secret(found["local_key"]),
        sec_key=Secret(found["sec_key"]) if found["sec_key"] else None,
        auth_key=Secret(found["auth_key"]),
    )
    parts: dict[str, bytes] = {}
    messages = []
    for event in events:
        if event["kind"] not in ("write", "notify"):
            continue
        packet, sender = bytes.fromhex(event["value"]), event["dir"]
        head = (4 if packet[1] & 0x80 else 3) if packet[0] == 0 else 1
        parts[sender] = (b"" if packet[0] == 0 else parts[sender]) + packet[head:]
        if "frame" in event:
            frame = event["frame"]
            data = bytes.fromhex(frame["data"])
            messages.append(Recorded(sender, parts[sender], frame["flag"], data))
    return keys, messages


@pytest.mark.parametrize(
    ("name", "double_md5", "flags"),
    [
        ("lock-bind", True, [1, 1, 2, 5, 5, 5]),
        ("sdk33-bind", False, [1, 1, 2, 5, 5, 5]),
        ("sdk44-20-bind", False, [1, 1, 2, 5, 5, 5]),
        ("secv2-244-bind", False, [11, 11, 12, 12, 12]),
    ],
)
def test_recorded_bindings_open_under_their_derivation_and_no_other(
    name: str, double_md5: bool, flags: list[int]
) -> None:
    keys, messages = recording(name)
    request, info = messages[:2]
    ring = KeyRing(keys, double_md5_auth=double_md5)
    ring.learn_server_rand(request.sealed[1:17])
    assert request.opens_with(ring.key(request.flag))
    assert info.opens_with(ring.key(info.flag))
    ring.learn_srand(info.data[6:12])
    for message in messages[: len(flags)]:
        for flag in SecurityFlag:
            if flag is SecurityFlag.PLAIN or (keys.sec_key is None and flag in (14, 15)):
                continue
            assert message.opens_with(ring.key(flag)) is (flag == message.flag)
    assert [message.flag for message in messages[: len(flags)]] == flags


@pytest.mark.parametrize(
    ("name", "double_md5"), [("lock-bind", True), ("sdk33-bind", False), ("sdk44-20-bind", False)]
)
def test_the_key_of_binding_has_two_derivations_and_a_lock_knows_one(
    name: str, double_md5: bool
) -> None:
    keys, messages = recording(name)
    pair = messages[2]
    ring = KeyRing(keys)
    ring.learn_server_rand(messages[0].sealed[1:17])
    ring.learn_srand(messages[1].data[6:12])
    assert pair.flag == SecurityFlag.AUTH_SESSION
    opens = []
    for derivation in (False, True):
        ring = KeyRing(keys, derivation, ring.srand, ring.server_rand)
        opens.append(pair.opens_with(ring.key(2)))
    assert opens == [not double_md5, double_md5]


def test_the_register_key_hides_the_auth_key() -> None:
    # Unbound: under the random of the request.
    keys, messages = recording("sdk33-bind")
    ring = KeyRing(keys)
    ring.learn_server_rand(messages[0].sealed[1:17])
    assert ring.register_key().hex() == "12ef453a0206fc7582473661ea1859a5"
    assert messages[1].data[14:46] == ring.register_key() + bytes(16)
    # Bound, and nobody asked under flag 1 since the supply was cut: the random is zero.
    keys, messages = recording("sdk33-handshake")
    assert messages[1].data[14:30] == KeyRing(keys).register_key()


def test_the_register_key_needs_the_auth_key() -> None:
    with pytest.raises(SealError, match="auth_key"):
        KeyRing(VECTOR).register_key()


# -- what is not there, or not there yet


NEEDS = {
    SecurityFlag.AUTH: {"auth_key", "server_rand"},
    SecurityFlag.AUTH_SESSION: {"auth_key", "server_rand", "srand"},
    SecurityFlag.LOGIN: {"local_key"},
    SecurityFlag.SESSION: {"local_key", "srand"},
    SecurityFlag.V2_AUTH: {"auth_key", "server_rand"},
    SecurityFlag.V2_AUTH_SESSION: {"auth_key", "server_rand", "srand"},
    SecurityFlag.V2_LOGIN: {"local_key", "sec_key"},
    SecurityFlag.V2_SESSION: {"local_key", "sec_key", "srand"},
    SecurityFlag.V2_ANOMALY: {"auth_key", "server_rand"},
}
EVERYTHING = {"local_key", "sec_key", "auth_key", "srand", "server_rand"}


def ring_without(missing: str) -> KeyRing:
    keys = WHOLE
    if missing.endswith("_key"):
        keys = replace(WHOLE, **{missing: None})  # type: ignore[arg-type]
    ring = KeyRing(keys)
    ring.learn_srand(None if missing == "srand" else b"srand!")
    if missing != "server_rand":
        ring.learn_server_rand(bytes(range(16)))
    return ring


def test_the_table_of_needs_knows_every_flag() -> None:
    assert set(NEEDS) == set(SecurityFlag) - {SecurityFlag.PLAIN}


@pytest.mark.parametrize("missing", sorted(EVERYTHING))
@pytest.mark.parametrize("flag", NEEDS)
def test_a_key_that_misses_a_secret_says_which_one(flag: SecurityFlag, missing: str) -> None:
    ring = ring_without(missing)
    if missing not in NEEDS[flag]:
        assert len(ring.key(flag)) == 16
        return
    with pytest.raises(SealError, match=missing):
        ring.key(flag)


def test_the_older_derivation_of_binding_needs_no_server_rand() -> None:
    ring = KeyRing(WHOLE, double_md5_auth=True)
    with pytest.raises(SealError, match="srand"):
        ring.key(SecurityFlag.AUTH_SESSION)
    ring.learn_srand(b"srand!")
    assert len(ring.key(SecurityFlag.AUTH_SESSION)) == 16


@pytest.mark.parametrize("flag", [0, 3, 6, 7, 8, 13, 17, 255])
def test_a_flag_without_a_key_is_refused(flag: int) -> None:
    ring = ring_of(WHOLE, srand=b"srand!")
    ring.learn_server_rand(bytes(16))
    with pytest.raises(SealError, match=f"flag {flag} is not known"):
        ring.key(flag)


SESSION_FLAGS = [flag for flag, needs in NEEDS.items() if "srand" in needs]


@pytest.mark.parametrize("flag", SESSION_FLAGS)
def test_a_session_key_is_forgotten_with_its_random(flag: SecurityFlag) -> None:
    ring = ring_without("nothing")
    first = ring.key(flag)
    assert ring.key(flag) == first
    ring.learn_srand(None)
    with pytest.raises(SealError, match="srand"):
        ring.key(flag)
    ring.learn_srand(b"other!")
    assert ring.key(flag) != first


@pytest.mark.parametrize("flag", SESSION_FLAGS)
def test_an_all_zero_random_is_none(flag: SecurityFlag) -> None:
    # Reference: protocol §3.1; the firmware's own derivations fail then.
    ring = ring_without("nothing")
    ring.learn_srand(bytes(6))
    with pytest.raises(SealError, match="srand"):
        ring.key(flag)


@pytest.mark.parametrize("flag", [flag for flag, needs in NEEDS.items() if "server_rand" in needs])
def test_a_new_request_changes_the_keys_of_its_answers(flag: SecurityFlag) -> None:
    ring = ring_without("nothing")
    first, before = ring.key(flag), ring.server_rand
    ring.learn_server_rand(b"sixteen other by")
    assert ring.key(flag) != first
    ring.restore_server_rand(before)
    assert ring.key(flag) == first
