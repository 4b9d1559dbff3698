"""Examples of what is answered, for the document; tests hold them against the models."""

from __future__ import annotations

from typing import Any

HINT = {"lock": "front-door", "seconds": 120.0}

REHEARSAL = {
    "lock": "front-door", "ready": True, "code": "ok", "gives_code": False,
    "steps": {
        "connect": 0.2131, "device_info": 0.2507, "pair": 0.2912, "config": 0.2913,
        "instruction": 0.4402,
    },
}  # fmt: skip

_STEPS = {
    "connect": 0.2131, "device_info": 0.2507, "pair": 0.2912, "config": 0.2913,
    "instruction": 0.4402, "commit": 0.4466, "write": 0.4711, "ack": 0.6204,
}  # fmt: skip
_ENDINGS: dict[str, dict[str, Any]] = {
    "confirmed": {"code": "ok", "by": "lock", "result": 0, "moved": "yes"},
    "refused": {"code": "lock-result-4", "by": "lock", "result": 4, "moved": "no"},
    "unreached": {"code": "lock-not-found", "by": None, "result": None, "moved": "no"},
    "unconfirmed": {"code": "lock-silent", "by": None, "result": None, "moved": "possible"},
}
_REACHED = {"confirmed": 8, "refused": 8, "unreached": 0, "unconfirmed": 7}


def operation(outcome: str | None) -> dict[str, Any]:
    """One with this outcome; ``None``: it is going on."""
    begun = {
        "id": "6d2f0c9be17a4f35a8c1e047",
        "lock": "front-door",
        "action": "unlock",
        "phase": "intent" if outcome is None else "finished",
        "requested_at": "2026-01-31T18:30:00.000+00:00",
        "outcome": outcome,
    }
    if outcome is None:
        return begun | {"steps": {}}
    return begun | {
        **_ENDINGS[outcome],
        "retryable": outcome == "unreached",
        "late": False,
        "offline": False,
        "evidence": [],
        "steps": dict(list(_STEPS.items())[: _REACHED[outcome]]),
        "finished_at": "2026-01-31T18:30:00.620+00:00",
    }


LOCKS = {
    "locks": [
        {
            "name": "front-door", "busy": False, "connection": "on_demand", "connected": False,
            "reachable": True, "lock_via": "dp46", "offline": "cached",
            "offline_until": "2026-02-01T17:31:07.200+00:00",
            "state": {
                "battery": {"value": 81, "told_s_ago": 512.3},
                "bolt": {"value": "closed", "told_s_ago": 44.0},
            },
            "radio": {
                "adapter": "hci0", "rssi": -61, "heard_s_ago": 0.8, "attempts": 12,
                "connections": 12, "failures": {}, "connected_s_today": 41.5,
            },
            "sync": {
                "passwords": {
                    "waiting": 1, "written": 0, "confirmed": 2, "refused": 0, "given_up": 0,
                    "gone": 0,
                },
                "asked_at": "2026-01-31T17:29:50.000+00:00", "last_error": None,
            },
            "upkeep": {
                "clock_told_at": "2026-01-31T17:29:48.000+00:00",
                "t0": {"progress": "done", "at": "2026-01-12T08:02:11.000+00:00"},
                "credentials": {"progress": "done", "at": "2026-01-31T17:29:51.000+00:00"},
                "listed": {"fingerprint": 3, "password": 1},
                "asked_at": "2026-01-31T17:29:50.000+00:00", "last_error": None,
            },
        }
    ]
}  # fmt: skip
EVENT = {
    "id": "3f2a9c01:17/a81b22c4:1203", "event": "lost",
    "data": '{"of":"records","count":4,"from":"2026-01-31T18:30:00.000+00:00"}',
}  # fmt: skip
READY = {"ready": True}
_WELL = {"ok": True, "keeps_doors_shut": False, "wrong": []}
NOT_READY = {
    "ready": False, "wrong": ["radio"],
    "parts": {
        "radio": {
            "ok": False, "keeps_doors_shut": True,
            "wrong": [
                {
                    "code": "radio-unavailable", "detail": "no usable adapter",
                    "since": "2026-01-31T18:30:00.000+00:00",
                    "advice": "Check that Bluetooth is switched on (`bleagent doctor`).",
                }
            ],
            "adapters": {
                "hci0": {"usable": False, "scanning": False, "heard_s_ago": None, "symptoms": []}
            },
        },
        "store": _WELL,
        "cloud": _WELL | {"answered_s_ago": 12.3, "failed_s_ago": None, "asked": True},
        "records": _WELL,
        "outbox": _WELL | {
            "sinks": {
                "cloud": {"waiting": 0, "held": 0, "parked": 0, "oldest_waiting_s": None}
            }
        },
        "webhooks": _WELL
        | {"subscriptions": {"home": {"waiting": 0, "delivered": 17, "given_up": 0}}},
        "audit": _WELL,
        "clock": _WELL | {"trusted": True},
        "config": _WELL,
    },
}  # fmt: skip

RECORD = {
    "id": "0f3a9b7c5d1e2f4a6b8c0d9e7f5a3b1c", "seq": 41, "lock": "front-door",
    "kind": "fingerprint", "value": 3, "category": "opening", "severity": None,
    "title": "opened by fingerprint 3", "who": "Jane", "at": "2026-01-31T18:30:00.000+00:00",
    "local": "2026-01-31T19:30:00.000+01:00", "quality": "lock", "live": False,
    "operation": None, "late": False, "released": True,
    "taken_at": "2026-01-31T18:31:07.200+00:00",
    "deliveries": [{"sink": "cloud", "state": "done", "attempts": 1, "code": ""}],
}  # fmt: skip
RECORDS = {"records": [RECORD], "next": None, "last": 41}
DECIDED = {"changed": 1, "record": RECORD}
VERIFIED: dict[str, Any] = {
    "lock": "front-door", "agree": 17, "lacking": [], "twice": [], "unknown": [],
    "complete": True,
}  # fmt: skip
OUTBOX = {
    "sinks": [
        {
            "sink": "cloud", "configured": True, "waiting": 2, "held": 1, "done": 17,
            "parked": 0, "dropped": 0, "oldest_waiting_s": 4.2, "routes_closed": {},
        }
    ],
    "locks": [{"lock": "front-door", "taken": 19, "duplicate": 0, "gaps": 0}],
}  # fmt: skip
FORGOTTEN = {"sink": "old-webhook", "changed": 3}

_TOKEN = {
    "id": "5d0c2e91", "label": "Anna", "scopes": ["operate:front-door"], "state": "good",
    "created": "2026-01-31T18:30:00.000+00:00", "expires": "2026-03-02T18:30:00.000+00:00",
    "revoked": None, "guest": None,
}  # fmt: skip
TOKENS = {"tokens": [_TOKEN]}
NEW_TOKEN = _TOKEN | {"token": "blk_5d0c2e91_..."}
REVOKED = _TOKEN | {"state": "revoked", "revoked": "2026-02-01T08:00:00.000+00:00"}
