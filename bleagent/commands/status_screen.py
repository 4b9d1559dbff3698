"""One screen of the running daemon, from what it answers; other versions' answers are no fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Answer = Mapping[str, Any]


def to_lines(ready: Answer, locks: Answer) -> Iterator[str]:
    """``/readyz`` and ``/v1/locks`` as text: what keeps doors shut, each part, each lock."""
    parts = _mapping(ready.get("parts"))
    shut = [name for name, part in parts.items() if _mapping(part).get("keeps_doors_shut")]
    if ready.get("ready") is True and _mapping(parts.get("cloud")).get("ok") is False:
        yield "ready here: what needs the cloud stays shut until that answers"
    elif ready.get("ready") is True:
        yield "ready: doors can be opened"
    else:
        yield f"NOT READY: doors stay shut{': ' if shut else ''}{', '.join(shut)}"
    yield ""
    for name, part in parts.items():
        yield from _part(str(name), _mapping(part))
    yield ""
    for lock in _list(locks.get("locks")):
        yield _lock(_mapping(lock))


def _part(name: str, part: Answer) -> Iterator[str]:
    facts = _FACTS.get(name, lambda _: "")(part)
    if part.get("ok") is True:
        yield f"{name:<9} ok   {facts}".rstrip()
        return
    yield f"{name:<9} {'SHUT' if part.get('keeps_doors_shut') else 'look'} {facts}".rstrip()
    for one in map(_mapping, _list(part.get("wrong"))):
        of = f"{one['of']}: " if one.get("of") else ""
        since = f", since {one['since']}" if one.get("since") else ""
        yield f"    {of}{one.get('detail')} ({one.get('code')}{since})"
        if one.get("advice"):
            yield f"    do  {one['advice']}"


def _radio(part: Answer) -> str:
    return "; ".join(
        f"{name} {'listens' if one.get('scanning') else 'does not listen'}, "
        f"{_ago('heard', one.get('heard_s_ago'))}"
        for name, one in _items(part.get("adapters"))
    )


def _cloud(part: Answer) -> str:
    return _ago("answered", part.get("answered_s_ago")) if part.get("asked") else "not asked yet"


def _outbox(part: Answer) -> str:
    return "; ".join(
        f"{name} {one.get('waiting')} waiting, {one.get('held')} held, {one.get('parked')} parked"
        for name, one in _items(part.get("sinks"))
    )


def _webhooks(part: Answer) -> str:
    return "; ".join(
        f"{name} {one.get('waiting')} waiting, {one.get('given_up')} given up"
        for name, one in _items(part.get("subscriptions"))
    )


_FACTS = {"radio": _radio, "cloud": _cloud, "outbox": _outbox, "webhooks": _webhooks}


def _lock(lock: Answer) -> str:
    words = [
        f"{lock.get('name')!s:<16}",
        "connected" if lock.get("connected") else _REACH.get(lock.get("reachable"), "?"),
    ]
    radio, state = _mapping(lock.get("radio")), _mapping(lock.get("state"))
    if radio.get("rssi") is not None:
        words.append(f"{radio['rssi']} dBm by {radio.get('adapter') or 'nobody yet'}")
    words += [
        f"{name.partition('_')[0]} {told}{' %' if name == 'battery' else ''}"
        for name in ("battery", "battery_class", "bolt", "door")
        if (told := _mapping(state.get(name)).get("value")) is not None
    ]
    if lock.get("busy"):
        words.append("an operation goes on")
    return "  ".join(words)


_REACH = {True: "in reach", False: "NOT HEARD", None: "reach not known"}


def _ago(what: str, seconds: object) -> str:
    return f"{what} {seconds} s ago" if isinstance(seconds, int | float) else f"never {what}"


def _mapping(value: object) -> Answer:
    return value if isinstance(value, Mapping) else {}


def _items(value: object) -> list[tuple[str, Answer]]:
    return [(str(name), _mapping(one)) for name, one in _mapping(value).items()]


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
