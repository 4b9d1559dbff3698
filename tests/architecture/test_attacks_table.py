"""docs/attacks.md: each attack and rule has its row, and the tests that a row names are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "attacks.md"
CLASSES = 14
"""Classes of attacks in the table of the project's notes."""
RULES = ("F1", "F2", "F3", "F4", "F5", "F6", "F7", "H3", "H4")
WANTED = [*(f"3.2-{number}" for number in range(1, CLASSES + 1)), *RULES]

_ROW = re.compile(r"\| (?P<name>[A-Z0-9][0-9.-]+) \|")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows(text: str) -> dict[str, list[tuple[str, str]]]:
    """The tests, as file and function, of each row."""
    found = {}
    for line in text.splitlines():
        if (row := _ROW.match(line)) is not None:
            found[row["name"]] = _TEST.findall(line)
    return found


@cache
def functions_of(file: str) -> frozenset[str]:
    """All functions of a file; none where there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def gone(text: str) -> list[str]:
    """Tests that are named and are not there."""
    every = (test for tests in rows(text).values() for test in tests)
    return sorted({f"{file}::{name}" for file, name in every if name not in functions_of(file)})


def test_every_attack_and_rule_has_its_row() -> None:
    assert list(rows(TABLE.read_text(encoding="utf-8"))) == WANTED


@pytest.mark.parametrize("name", WANTED)
def test_a_row_names_tests(name: str) -> None:
    assert len(rows(TABLE.read_text(encoding="utf-8"))[name]) >= 2


def test_every_test_that_is_named_is_there() -> None:
    assert gone(TABLE.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "planted",
    ["tests/architecture/test_attacks_table.py::test_gone", "tests/nowhere.py::test_gone"],
)
def test_a_test_that_is_gone_is_noticed(planted: str) -> None:
    assert gone(f"| F1 | keys | `{planted}` |") == [planted]
