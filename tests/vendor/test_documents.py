"""The vendor's documents are read as they are: broken rows, samples that are no JSON."""

from __future__ import annotations

from tests.vendor.documents import read

ACTION = """\
Action | Description |
---|---|
doorLock.one | It does one thing. |
doorLock.other | It is described nowhere. |
Applicable lock types
Type | Supported |
---|---|
Applicable lock type | Wi-Fi lock |
API endpoint
action : doorLock.one
Request parameter
Parameter name | Type | Parameter type | Description | Required |
---|---|---|---|---|
device_id | String | URI | The device ID. | Yes |
page_no | Integer | QUERY | The page, starting from 1 . |
Yes |
detail | JSON | BODY | The details. | No |
Description of detail
Parameter name | Type | Description | Yes |
---|---|---|---|
biz_type | String | The business. Valid values:a : one |
Yes |
minutes | Integer | Unit: minutes. |
|
Sample request
{
"action": "doorLock.one",
"params": {
"device_id": "vdev1 **** ", // the device
"page_no": 0,
}
}
Return parameter
Parameter name | Type | Description |
---|---|---|
records | Object |
Sample response with records
{
"records": [
{
'a': 'b',
Applicable lock types
Type | Supported |
---|---|
Applicable lock type | Bluetooth lock |
API endpoint
doorLock.two
Sample response on failure
{
"success": false
}
"""
PANEL = """\
说明: 新版本。
API 名称
tuya.m.one
API 版本
2.0
请求参数
名称 | 类型 | 描述 | 参数是否可选 |
---|---|---|---|
devId | String |
设备编号 | 否 |
name | String |
名称 | 是 |
返回示例
{
"unlockName":"x"
"gmtCreate":1
}
"""
VIDEO = """\
POST /v1.0/doors/{device_id}/open
Parameter | Type | Position | Description | Mandatory |
---|---|---|---|---|
device_id | String | URI | The ID | Yes |
ids | List |
BODY | IDs | Yes |
{
"success": true,
"result": {"sn": "1"}
}
"""


def test_an_action_has_its_rows_and_samples() -> None:
    one, two, other = read(ACTION)
    assert (one.name, one.lock_types) == ("doorLock.one", ["Wi-Fi lock"])
    assert [(row["name"], row["type"], row["required"]) for row in one.parameters] == [
        ("device_id", "String", True),
        ("page_no", "Integer", True),
        ("detail", "JSON", False),
    ]
    assert [(row["name"], row["required"]) for row in one.nested["detail"]] == [
        ("biz_type", True),
        ("minutes", False),
    ]
    assert one.request == {"device_id": "vdev1 **** ", "page_no": 0}
    assert one.response == {"records": [{"a": "b"}]}
    assert (two.name, two.lock_types, two.response) == ("doorLock.two", ["Bluetooth lock"], None)
    assert (other.name, other.note) == ("doorLock.other", "listed, and described nowhere")


def test_the_column_of_the_panels_asks_the_other_way_round() -> None:
    (one,) = read(PANEL)
    assert (one.name, one.version, one.note) == ("tuya.m.one", "2.0", "新版本。")
    assert {row["name"]: row["required"] for row in one.parameters} == {
        "devId": True,
        "name": False,
    }
    assert one.response == {"unlockName": "x", "gmtCreate": 1}


def test_a_video_door_has_a_path_for_its_name() -> None:
    (one,) = read(VIDEO)
    assert one.name == "/v1.0/doors/{device_id}/open"
    assert [row["name"] for row in one.parameters] == ["device_id", "ids"]
    assert one.response == {"success": True, "result": {"sn": "1"}}
