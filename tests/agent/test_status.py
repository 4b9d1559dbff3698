"""One screen of the daemon: what is said first, what of each part, what of each lock."""

from __future__ import annotations

from typing import Any

from bleagent.commands.status_screen import to_lines
from bleagent.http.examples import LOCKS

READY: dict[str, Any] = {
    "ready": True,
    "parts": {
        "radio": {
            "ok": True, "wrong": [], "keeps_doors_shut": False,
            "adapters": {"hci0": {"usable": True, "scanning": True, "heard_s_ago": 1.5}},
        },
        "cloud": {"ok": True, "wrong": [], "asked": True, "answered_s_ago": 3.0},
        "outbox": {
            "ok": True, "wrong": [], "sinks": {"openapi": {"waiting": 2, "held": 0, "parked": 1}},
        },
    },
}  # fmt: skip


def screen(ready: dict[str, Any], locks: dict[str, Any]) -> list[str]:
    return list(to_lines(ready, locks))


def test_where_all_is_well_each_part_and_lock_is_a_line() -> None:
    lines = screen(READY, LOCKS)
    assert lines[:5] == [
        "ready: doors can be opened",
        "",
        "radio     ok   hci0 listens, heard 1.5 s ago",
        "cloud     ok   answered 3.0 s ago",
        "outbox    ok   openapi 2 waiting, 0 held, 1 parked",
    ]
    assert len(lines) == 6 + len(LOCKS["locks"])


def test_without_the_cloud_it_does_not_say_that_doors_open() -> None:
    parts = READY["parts"] | {"cloud": {"ok": False, "wrong": [], "asked": True}}
    assert screen(READY | {"parts": parts}, {"locks": []})[0].startswith("ready here: what needs")


def test_what_keeps_doors_shut_is_said_first_and_what_to_do_below_it() -> None:
    wrong = {
        "code": "radio-busy", "detail": "no adapter listens", "since": "2026-01-31T18:30:00+00:00",
        "advice": "Wait.", "of": "hci0",
    }  # fmt: skip
    radio = {"ok": False, "keeps_doors_shut": True, "wrong": [wrong], "adapters": {}}
    cloud = {"ok": False, "keeps_doors_shut": False, "wrong": [], "asked": False}
    lines = screen({"ready": False, "parts": {"radio": radio, "cloud": cloud}}, {"locks": []})
    assert lines == [
        "NOT READY: doors stay shut: radio",
        "",
        "radio     SHUT",
        "    hci0: no adapter listens (radio-busy, since 2026-01-31T18:30:00+00:00)",
        "    do  Wait.",
        "cloud     look not asked yet",
        "",
    ]


def test_a_lock_that_is_not_heard_stands_out() -> None:
    lock = {
        "name": "front", "connected": False, "reachable": False, "busy": True,
        "radio": {"rssi": -81, "adapter": None}, "state": {"battery": {"value": 12}},
    }  # fmt: skip
    assert screen({"ready": True}, {"locks": [lock]})[-1] == (
        "front             NOT HEARD  -81 dBm by nobody yet  battery 12 %  an operation goes on"
    )


def test_an_answer_of_another_version_is_shown_as_far_as_it_goes() -> None:
    strange: dict[str, Any] = {"ready": True, "parts": {"radio": 1, "new": {"ok": True}}}
    assert screen(strange, {"locks": [{}, 7]})[0] == "ready: doors can be opened"
    assert screen({"ready": 1, "parts": []}, {"locks": 0})[0].startswith("NOT READY")
