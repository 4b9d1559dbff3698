"""``docs/log-events.md`` names each event that the code logs, at its level, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from bleagent.sync.passwords import State
from bleagent.sync.upkeep import Subject

ROOT = Path(__file__).parents[2]
LEVELS = ("debug", "info", "warning", "error")
IN_NAMES = {
    "event": {
        "operation.finished", "operation.recovered", "operation.fault", "lock.fault",
        "agent.fault", "auth.failed", "auth.held_up", *(f"password.{state}" for state in State),
        *(f"upkeep.{subject}" for subject in Subject),
    },
    "HEAD": {"audit.head"},
    "'records.drained' if not drained.why else 'records.not_drained'": {
        "records.drained", "records.not_drained",
    },
}  # fmt: skip
"""What stands at a call where the event itself does not."""


def _calls() -> Iterator[tuple[str, ast.expr, str]]:
    """Level, first argument and place of each call of a log."""
    for path in sorted((ROOT / "bleagent").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            match node.func:
                case ast.Attribute(value=ast.Name("log"), attr=attr) if attr in LEVELS:
                    yield attr, node.args[0], place
                case ast.Name("tell") if isinstance(node.args[0], ast.IfExp):
                    yield "", node.args[0], place


def _logged() -> Mapping[str, set[str]]:
    """The levels of each event; none where the level is not written at the call."""
    found: dict[str, set[str]] = {}
    for level, argument, place in _calls():
        if isinstance(argument, ast.Constant):
            names, levels = {str(argument.value)}, {level} - {""}
        else:
            said = ast.unparse(argument)
            assert said in IN_NAMES, f"{place}: which events are {said}?"
            names, levels = IN_NAMES[said], set()
        for name in names:
            found.setdefault(name, set()).update(levels)
    return found


def _told() -> Mapping[str, str]:
    """The level column of each event of the page."""
    rows = re.findall(
        r"^\| (`[^|]+) \| ([^|]+) \|", (ROOT / "docs/log-events.md").read_text(), re.MULTILINE
    )
    return {name: levels for names, levels in rows for name in re.findall(r"`([^`]+)`", names)}


def test_the_page_has_each_event_and_no_other() -> None:
    by_a_library = {"library.message"}
    assert set(_told()) - by_a_library == set(_logged())


def test_the_page_says_the_level() -> None:
    told = _told()
    wrong = {
        name: (levels, told[name])
        for name, levels in _logged().items()
        if not levels <= set(told[name].split(", "))
    }
    assert wrong == {}
