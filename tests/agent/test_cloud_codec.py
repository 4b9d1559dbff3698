"""Signatures against the vendor's published examples, and answers out of every envelope.

Literals A to E are examples of the vendor's documents (D and E of an archived page), F and the
one of the action endpoint were computed by hand (reference: cloud §1.2, §3.1).
"""

from __future__ import annotations

import json

import pytest

from bleagent.cloud import codec, fields
from bleagent.cloud.codec import Credentials, sign_action, sign_v1, sign_v2, signed_url
from bleagent.cloud.errors import BadAnswer
from protocol import Secret

WHO = Credentials("1KAD46OrT9HafiKdsXeg", Secret("4OHBOnWOqaEC1mWXOpVL3yV50s0qGSRC"))
T = "1588925778000"
NONCE = "5138cc3a9033d69856923fd07b491173"
TOKEN = Secret("3f4eda2bdec17232f67c0b188af3eec1")
HEADERS = {"area_id": "29a33e8796834b1efa6", "call_id": "8afdb70ab2ed11eb85290242ac130003"}


# -- signatures


def test_a_token_request_is_signed_like_the_vendors_example() -> None:
    url = signed_url("/v1.0/token", {"grant_type": "1"})
    sign = sign_v2(WHO, method="GET", url=url, t=T, nonce=NONCE, headers=HEADERS)
    assert sign == "9E48A3E93B302EEECC803C7241985D0A34EB944F40FB573C7B5C2A82158AF13E"


@pytest.mark.parametrize("names", [("page_no", "page_size"), ("page_size", "page_no")])
def test_a_query_is_signed_sorted_whatever_its_order(names: tuple[str, str]) -> None:
    values = {"page_no": "1", "page_size": "50"}
    url = signed_url("/v2.0/apps/schema/users", {name: values[name] for name in names})
    sign = sign_v2(
        WHO, method="GET", url=url, t=T, nonce=NONCE, headers=HEADERS, access_token=TOKEN
    )
    assert sign == "AE4481C692AA80B25F3A7E12C3A5FD9BBF6251539DD78E565A1A72A508A88784"


def test_a_body_is_signed_as_the_bytes_that_are_sent() -> None:
    body = codec.compact_json({"commands": [{"code": "switch_led", "value": False}]})
    assert body == b'{"commands":[{"code":"switch_led","value":false}]}'
    url = "/v1.0/devices/bf2c1e00ab0f12face/commands"
    sign = sign_v2(WHO, method="POST", url=url, t=T, body=body, access_token=TOKEN)
    assert sign == "F27DD95A15E84C954DB2ED016096D517681FE79853B6CDAD446927352691804E"
    spaced = json.dumps(json.loads(body)).encode()
    assert sign != sign_v2(WHO, method="POST", url=url, t=T, body=spaced, access_token=TOKEN)


def test_the_old_signature_covers_client_token_and_time() -> None:
    assert sign_v1(WHO, t=T) == "CEAAFB5CCDC2F723A9FD3E91D3D2238EE0DD9A6D7C3C365DEB50FC2AF277AA83"
    assert sign_v1(WHO, t=T, access_token=TOKEN) == (
        "36C30E300F226B68ADD014DD1EF56A81EDB7B7A817840485769B9D6C96D0FAA1"
    )


def test_without_signed_headers_an_empty_line_stays() -> None:
    url = signed_url("/v1.0/token", {"grant_type": "1"})
    sign = sign_v2(WHO, method="GET", url=url, t=T, nonce=NONCE)
    assert sign == "3206F74CBFC2869794FD3013C44F18166BE22AB1FB5FF66F513212264F67F681"


def test_the_action_endpoint_has_a_signature_of_its_own() -> None:
    sign = sign_action(WHO, params={"device_id": "vdevo16036791579"}, t=T)
    assert sign == "1A2900D20DEE6C9C2E2FA354303DB49F67CB8D942BEA45903179BC6A1149096F"


def test_only_the_top_level_of_an_actions_parameters_is_sorted_and_none_is_dropped() -> None:
    one = sign_action(WHO, params={"b": {"y": 1, "x": 2}, "a": "é", "c": None}, t=T)
    assert one == sign_action(WHO, params={"a": "é", "b": {"y": 1, "x": 2}}, t=T)
    assert one != sign_action(WHO, params={"a": "é", "b": {"x": 2, "y": 1}}, t=T)
    assert codec.action_body("x", {"a": "é", "c": None}) == (
        '{"action":"x","params":{"a":"é"}}'.encode()
    )


def test_a_query_is_sent_encoded_and_signed_plain() -> None:
    query = {"z": "1", "device_ids": "a b,c&d/é"}
    assert codec.target("/v1.0/devices", query) == (
        "/v1.0/devices?device_ids=a%20b%2Cc%26d%2F%C3%A9&z=1"
    )
    assert signed_url("/v1.0/devices", query) == "/v1.0/devices?device_ids=a b,c&d/é&z=1"


def test_credentials_do_not_show_their_secret() -> None:
    assert WHO.secret.reveal().decode() not in repr(WHO)


# -- envelopes


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"success":true,"t":1608518987114,"result":{"a":1},"tid":"x"}', id="openapi"),
        pytest.param('{"success":true,"data":{"a":1},"t":1608518987114}', id="cloud-function"),
        pytest.param('{"a":1}', id="bare"),
        pytest.param('{"result":{"a":1},"t":1608518987114,"success":true,"status":"ok"}', id="app"),
        pytest.param('{"success":"True","result":{"a":1}}', id="success-as-text"),
        pytest.param('{"success":1,"result":{"a":1}}', id="success-as-number"),
    ],
)
def test_the_result_is_the_same_out_of_every_envelope(body: str) -> None:
    answer = codec.read_answer(body.encode())
    assert answer.success
    assert answer.result == {"a": 1}
    assert answer.t in (None, 1608518987.114)


@pytest.mark.parametrize(
    ("body", "code", "msg"),
    [
        ('{"success":false,"code":1106,"msg":"permission deny","t":1}', 1106, "permission deny"),
        ('{"success":false,"errorCode":"500","errorMsg":{"message":"x"},"data":[]}', 500, "x"),
        ('{"success":false,"errorCode":1010,"errorMsg":"token","data":[]}', 1010, "token"),
        ('{"errorCode":"USER_SESSION","errorMsg":"out","success":false}', "USER_SESSION", "out"),
        ('{"errorCode":"1106","errorMsg":"out","status":"error"}', 1106, "out"),
        ('{"code":404,"msg":"no route"}', 404, "no route"),
        ('{"success":false}', None, ""),
    ],
)
def test_a_failure_keeps_code_and_words_out_of_every_envelope(
    body: str, code: int | str | None, msg: str
) -> None:
    answer = codec.read_answer(body.encode())
    assert not answer.success
    assert (answer.code, answer.msg) == (code, msg)


def test_the_time_answer_whose_fields_are_exchanged_is_put_right() -> None:
    # The document's own sample of timer.currentTime.
    answer = codec.read_answer(b'{"result":true,"success":1607087405739,"t":1603679935012}')
    assert answer.success
    assert answer.result == 1607087405739


def test_a_success_without_a_result_is_one() -> None:
    assert codec.read_answer(b'{"success":true,"t":1}').result is None


def test_a_bare_list_is_the_result_itself() -> None:
    assert codec.read_answer(b'[{"id":"x"}]').result == [{"id": "x"}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b'{"success":',
        b'{"success":"maybe"}',
        b'{"success":[]}',
        b"[" * 100_000,
        b"1" * 5000,
        b'{"success":true,"t":Infinity}',
        b"x" * (codec.MAX_BODY + 1),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_answer_is_refused_with_one_error(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        codec.read_answer(body)


def test_an_answer_does_not_show_its_result() -> None:
    assert "hidden" not in repr(codec.read_answer(b'{"success":true,"result":"hidden"}'))


def test_words_of_the_cloud_are_bounded_and_printable() -> None:
    body = json.dumps({"success": False, "msg": "a\x1b[31m\n" + "x" * 999}).encode()
    msg = codec.read_answer(body).msg
    assert msg.isprintable()
    assert len(msg) <= codec.MAX_MSG


# -- fields


@pytest.mark.parametrize("value", [True, 1, "1", "true", "True"])
def test_five_spellings_of_yes(value: object) -> None:
    assert fields.boolean(value, "x") is True


@pytest.mark.parametrize("value", [False, 0, "0", "false", "FALSE", "", None])
def test_and_of_no(value: object) -> None:
    assert fields.boolean(value, "x") is False


@pytest.mark.parametrize("value", [2, "yes", [], {}, 1.5])
def test_anything_else_is_no_boolean(value: object) -> None:
    with pytest.raises(BadAnswer, match="x is not a boolean"):
        fields.boolean(value, "x")


@pytest.mark.parametrize("key", ["dp_id", "dpId", "DpId", "dpid"])
def test_a_key_is_found_in_either_spelling(key: str) -> None:
    assert fields.find({key: 70}, "dp_id") == 70


def test_an_empty_field_does_not_hide_the_one_that_is_there() -> None:
    assert fields.find({"dpId": None, "dp_id": 70}, "dp_id") == 70
    assert fields.find({"distribute": None, "distributed": 1}, "distribute", "distributed") == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(1622000424, 1622000424.0), ("1622000424", 1622000424.0), (1608518987114, 1608518987.114)],
)
def test_a_time_is_seconds_or_milliseconds_by_its_size(value: object, seconds: float) -> None:
    assert fields.seconds(value, "t") == seconds


@pytest.mark.parametrize("value", [10**400, -1, "now", True, None, 1.5, "9" * 30])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(BadAnswer):
        fields.seconds(value, "t")


@pytest.mark.parametrize("value", ["abc", "", "0g", "ab cd", None, 12, "é0", "00" * 1025])
def test_what_is_not_hexadecimal_is_refused(value: object) -> None:
    with pytest.raises(BadAnswer):
        fields.hexadecimal(value, "ins")


def test_hexadecimal_is_read_in_either_case() -> None:
    assert fields.hexadecimal("0aFF", "ins") == b"\x0a\xff"


def test_an_id_may_be_a_number() -> None:
    assert fields.identifier(34720161, "id") == fields.identifier("34720161 ", "id") == "34720161"
