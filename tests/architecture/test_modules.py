"""What can be said of every module: short enough to read in one sitting, and documented."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bleagent
import protocol

ROOT = Path(__file__).resolve().parents[2]
LONGEST_MODULE = 400  # lines; beyond that a room is asking to be two

CODEC = sorted((ROOT / "protocol").rglob("*.py"))
SOURCES = [*CODEC, *sorted((ROOT / "bleagent").rglob("*.py"))]


def short_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def undocumented(tree: ast.Module) -> Iterator[str]:
    """The module, public classes and functions, and public methods without a docstring."""
    if ast.get_docstring(tree) is None:
        yield "the module"
    yield from _undocumented_below(tree, "")


def _undocumented_below(parent: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
    for node in parent.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None:
            yield f"{prefix}{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from _undocumented_below(node, f"{prefix}{node.name}.")


@pytest.mark.parametrize("path", SOURCES, ids=short_name)
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


@pytest.mark.parametrize("path", CODEC, ids=short_name)
def test_everything_public_in_the_codec_is_documented(path: Path) -> None:
    assert list(undocumented(ast.parse(path.read_text(encoding="utf-8")))) == []


def test_a_missing_docstring_is_found() -> None:
    planted = "class Open:\n    def run(self): ...\n    def _hidden(self): ...\ndef seal(): ..."
    assert list(undocumented(ast.parse(planted))) == ["the module", "Open", "Open.run", "seal"]


@pytest.mark.parametrize("package", [protocol, bleagent], ids=lambda package: package.__name__)
def test_the_packages_under_test_are_those_of_this_repository(package: object) -> None:
    # A stray package of the same name (or a folder tests/protocol) would shadow them.
    file = getattr(package, "__file__", None)
    name = getattr(package, "__name__", "")
    assert file is not None
    assert Path(file).resolve() == ROOT / name / "__init__.py"


def test_no_folder_of_tests_can_shadow_the_codec() -> None:
    assert not (ROOT / "tests" / "protocol").exists()


@pytest.mark.parametrize("package", ["protocol", "bleagent"])
def test_a_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
