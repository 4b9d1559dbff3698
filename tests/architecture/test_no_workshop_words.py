"""The files say nothing about the machine they were written on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Made by tools, never committed (see .gitignore).
NOT_OURS = re.compile(r"\.git|\.venv.*|\..*_cache|\.hypothesis|__pycache__|build|dist|.*\.egg-info")

# Each has a letter in brackets, so that this file does not find itself.
PATTERNS = {
    "a home directory": r"(?<![\w.])/(?:roo[t]|hom[e]/\w+|User[s]/\w+)/",
    "a package registry's host": (
        r"(?i)\b(?:pyp[i]\.org|pythonhoste[d]\.org|npmj[s]\.\w+|crate[s]\.io|deb\.debia[n]\.org)"
    ),
    "an index for a package client": r"--(?:(?:extra-)?index-ur[l]|find-link[s])",
}


def workshop_words(text: str) -> list[str]:
    """What of ``PATTERNS`` the text contains, and the place of this checkout."""
    found = [what for what, pattern in PATTERNS.items() if re.search(pattern, text)]
    # A checkout near the root of the file system would have too common a name to look for.
    if len(ROOT.parts) > 2 and re.search(rf"(?<![\w.]){re.escape(str(ROOT))}\b", text):
        found.append("the place of this checkout")
    return found


def our_text_files() -> Iterator[tuple[Path, str]]:
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if not NOT_OURS.fullmatch(name))
        for path in (Path(folder, name) for name in sorted(names)):
            # In a linked work tree `.git` is a file.
            if NOT_OURS.fullmatch(path.name) or path.suffix == ".pyc":
                continue
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # not text


def test_no_file_names_the_machine_it_was_written_on() -> None:
    found = {str(path.relative_to(ROOT)): workshop_words(text) for path, text in our_text_files()}
    assert {name: words for name, words in found.items() if words} == {}


def test_the_search_sees_the_repository() -> None:
    names = {path.relative_to(ROOT).as_posix() for path, _ in our_text_files()}
    assert {"pyproject.toml", ".ci/run", "requirements.lock", "protocol/errors.py"} <= names
    assert Path(__file__).resolve().relative_to(ROOT).as_posix() in names


# What the planted words below are put together with, for the same reason.
SLASH, DOT, DASHES = "/", ".", "--"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"open('{SLASH}root/captures')", "a home directory"),
        (f"cp {SLASH}home/jane/x .", "a home directory"),
        (f"https://PyPI{DOT}org/project/bleak", "a package registry's host"),
        (f"https://registry.npmjs{DOT}org/", "a package registry's host"),
        (f"{DASHES}index-url https://example.org", "an index for a package client"),
        (f"see {ROOT}/README.md", "the place of this checkout"),
    ],
)
def test_a_planted_word_is_found(text: str, what: str) -> None:
    assert workshop_words(text) == [what]


@pytest.mark.parametrize("text", ["tests/root/x", "the root/leaf", "/homes/x", "ProtectHome=yes"])
def test_an_innocent_word_is_not(text: str) -> None:
    assert workshop_words(text) == []
