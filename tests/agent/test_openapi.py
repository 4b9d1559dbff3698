"""The document of the HTTP interface: of the routes that there are, and of what they answer."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi.routing import APIRoute

from bleagent.http import described
from bleagent.http.api import ROWS
from bleagent.http.described import Row
from bleagent.http.docs_page import page
from bleagent.http.openapi import document
from bleagent.http.problem_codes import as_markdown, ending_codes, problem_codes
from bleagent.http.problems import STATUS
from bleagent.http.rules import MAX_BODY, MAX_HEAD, MAX_HEADERS
from bleagent.http.schemas import Operation, Problem
from tests.agent.test_http_tokens import MASTER, Gate, before_the_door
from tests.agent.world import DOOR

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = document()
MADE_IN_A_THREAD = ("/openapi.json", "/docs")
"""Which virtual time knows nothing of: they are asked for in tests/system."""
OTHERS = [row for row in ROWS if row.path not in MADE_IN_A_THREAD]


def name_of(row: Row) -> str:
    return f"{row.method.upper()} {row.path}"


# -- the requests


def test_how_the_page_looks_is_not_read_from_the_disk_by_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(gate: Gate) -> None:
        monkeypatch.setattr(Path, "open", None)
        monkeypatch.setattr(Path, "read_bytes", None)
        answer = await gate.ask("GET", "/docs.css")
        assert (answer.status_code, "body" in answer.text) == (200, True)
        monkeypatch.undo()

    before_the_door(story)


def test_the_document_has_the_routes_that_there_are_and_no_other() -> None:
    async def story(gate: Gate) -> None:
        app = cast("Any", gate.transport.app)
        routes = {
            f"{method} {one.path}"
            for one in app.routes
            if isinstance(one, APIRoute) and not one.path.startswith("/page/")
            for method in one.methods or ()
        }
        assert sorted(routes) == sorted(map(name_of, ROWS))

    before_the_door(story)


def called(row: Row) -> str:
    """Its path with the names of its examples."""
    path = row.path
    for one in row.parameters:
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", str(one["example"]))
    return path.replace("front-door", DOOR)


@pytest.mark.parametrize("row", OTHERS, ids=name_of)
def test_a_request_takes_what_the_document_says(row: Row) -> None:
    async def story(gate: Gate) -> None:
        given = {"json": row.body_example} if row.body is not None else {}
        bare = await gate.ask(row.method, called(row), "no-token", **given)
        assert (bare.status_code == 401) is (row.scope is not described.ANYBODY)
        if row.scope:
            scope = row.scope.replace("{lock}", DOOR)
            others = {"read", "records", "admin", f"operate:{DOOR}"} - {scope}
            without = (await gate.create(*others))["token"]
            refusal = await gate.ask(row.method, called(row), without, **given)
            assert (refusal.status_code, refusal.json()["code"]) == (403, "scope-missing")
            assert refusal.json()["detail"].endswith(f" {scope}")

    before_the_door(story)


def statuses(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][row.path][row.method]["responses"]
    return found


@pytest.mark.parametrize("row", OTHERS, ids=name_of)
def test_what_is_answered_is_what_the_document_says(row: Row) -> None:
    """With the examples of the document; schemathesis asks for the rest (tests/system)."""

    async def story(gate: Gate) -> None:
        given: dict[str, Any] = {}
        if row.body is not None:
            given["json"] = json.loads(json.dumps(row.body_example).replace("front-door", DOOR))
        params = {
            one["name"]: one["example"]
            for one in row.parameters
            if one["in"] == "query" and "example" in one
        }
        key = "key-1" if row.path.endswith("lock") else None
        answer = await gate.ask(row.method, called(row), params=params, key=key, **given)
        assert str(answer.status_code) in statuses(row)
        told = row.answers.get(answer.status_code)
        if answer.headers.get("content-type") == "application/problem+json":
            problem = Problem.model_validate_json(answer.content)
            assert problem.status == answer.status_code
            assert answer.status_code in problem_codes()[problem.code].statuses
        else:
            assert told is not None
            if told.model is not None and told.kind == "application/json":
                told.model.model_validate_json(answer.content)

    before_the_door(story)


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_the_examples_are_such_answers(row: Row) -> None:
    for one in row.answers.values():
        if one.model is not None:
            one.model.model_validate_json(json.dumps(one.example))
    if row.body is not None:
        row.body.model_validate_json(json.dumps(row.body_example))


def test_a_running_operation_and_one_that_ended_are_such_answers() -> None:
    async def story(gate: Gate) -> None:
        ended = await gate.unlock(MASTER)
        told = Operation.model_validate_json(ended.content)
        assert set(ended.json()) == set(Operation.model_fields)  # nothing is left out
        assert told.outcome == "confirmed"

    before_the_door(story)


# -- the document itself


def everything(value: Any) -> Iterator[Any]:
    yield value
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in below:
        yield from everything(one)


def test_each_reference_leads_somewhere() -> None:
    used = {one["$ref"] for one in everything(DOCUMENT) if isinstance(one, dict) and "$ref" in one}
    there = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "responses")
        for name in DOCUMENT["components"][kind]
    }
    assert used - there == set()
    assert there - used == set()


def test_no_object_has_fields_that_are_not_named() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert schema.get("type") != "object" or schema["additionalProperties"] is False, name


def test_the_bounds_in_its_words_are_those_of_the_code() -> None:
    words = DOCUMENT["info"]["description"]
    assert f"Bodies have at most {MAX_BODY} bytes, heads {MAX_HEAD}" in words
    assert str(MAX_BODY) in problem_codes()["body-too-large"].meaning
    assert f"{MAX_HEADERS} headers or {MAX_HEAD} bytes" in problem_codes()["head-too-large"].meaning


def test_too_many_requests_say_when_to_come_again() -> None:
    told = DOCUMENT["components"]["responses"]["Refused429"]
    assert told["headers"]["Retry-After"]["required"] is True


def test_who_opens_doors_does_not_load_it() -> None:
    program = (
        "import sys, bleagent.app\n"
        "print([one for one in sys.modules if one.startswith('bleagent.http.') "
        "and one.rpartition('.')[2] in ('openapi', 'schemas', 'api', 'examples', 'docs_page', "
        "'described', 'problem_codes')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)  # noqa: S603
    assert done.stdout.strip() == b"[]"


def test_each_example_is_of_the_form_that_it_is_an_example_of() -> None:
    found = [one for one in everything(DOCUMENT) if isinstance(one, dict) and "pattern" in one]
    assert len(found) > 10
    for one in found:
        for example in one.get("examples", ()):
            assert re.search(one["pattern"], example), example
    moment = next(one["pattern"] for one in found if "2026-01-31T18:30:00Z" in str(one))
    for good in ("2024-02-28", "2026-01-31", "2026-04-30", "2026-12-01"):
        assert re.search(moment, f"{good}T18:30:00Z"), good
    for bad in ("2026-02-30", "2026-04-31", "2026-13-01", "2026-01-32", "2026-00-10"):
        assert not re.search(moment, f"{bad}T18:30:00Z"), bad


def test_no_word_is_in_it_that_schemas_do_not_have() -> None:
    words = {key for one in everything(DOCUMENT) if isinstance(one, dict) for key in one}
    assert words & {"ge", "le", "gt", "lt", "min_length", "max_length"} == set()


# -- codes


def literal_codes() -> Iterator[tuple[int | None, str]]:
    """Status and code of each problem that the HTTP modules make without an error behind it."""
    for path in sorted((ROOT / "bleagent" / "http").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            named = {one.arg: one.value for one in node.keywords}
            match node:
                case ast.Call(func=ast.Name(id="Refusal")):
                    status, code = named["status"], named["code"]
                case ast.Call(func=ast.Name(id="problem"), args=[status, code, *_]):
                    pass
                case ast.Call(func=ast.Attribute(attr="_answer"), args=[status, code, *_]):
                    pass
                case ast.Call(func=ast.Name(id="_bad"), args=[code, *_]):
                    status = ast.Constant(400)
                case _:
                    continue
            if isinstance(status, ast.Constant) and isinstance(code, ast.Constant):
                yield cast("int", status.value), str(code.value)


def test_each_code_of_a_refusal_is_explained_with_its_status() -> None:
    found = set(literal_codes())
    assert len(found) > 15  # the search sees them
    known = problem_codes()
    assert [one for one in found if one[0] not in known[one[1]].statuses] == []
    for kind, status in STATUS.items():
        if kind.code in known:
            assert status in known[kind.code].statuses
    assert {"not-found", "method-not-allowed", "agent-error"} <= set(known)


def test_each_code_of_an_ending_is_explained() -> None:
    """Those that are written down as such; those of errors come from the errors."""
    found: set[str] = set()
    for name in ("unlock.py", "endings.py", "doors.py", "adapters/sqlite_store/ledger.py"):
        text = (ROOT / "bleagent" / name).read_text(encoding="utf-8")
        found |= set(re.findall(r'\bcode ?= ?f?"([a-z{][^"]*)"', text))
        found |= set(re.findall(r'^[A-Z_]+ = "(interrupted-[a-z-]+)"', text, re.MULTILINE))
    assert {"ok", "cancelled", "interrupted-by-power-cut"} <= found
    shapes = {re.sub(r"\{.*\}", "", one) for one in found}
    known = set(ending_codes())
    assert {one for one in shapes if not any(each.startswith(one) for each in known)} == set()


def test_every_code_of_the_document_is_one_that_can_be_answered() -> None:
    used = {*described.HEAD, *described.CALLER, *described.BODY}
    used |= {code for row in ROWS for code in row.codes}
    assert used - set(problem_codes()) == set()
    assert set(problem_codes()) - used == {"method-not-allowed"}


def test_the_page_about_codes_is_the_one_that_the_command_prints() -> None:
    """`bleagent openapi --problems > docs/problems.md` after a change."""
    import bleagent.adapters.bluez.faults  # noqa: F401, PLC0415 - errors that refine others

    assert (ROOT / "docs" / "problems.md").read_text(encoding="utf-8") == as_markdown()


# -- the page


class Reader(HTMLParser):
    """What a browser would do with it."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(str(value))
            elif name == "href":
                self.links.append(str(value))


def read_page() -> Reader:
    reader = Reader()
    reader.feed(page(DOCUMENT))
    return reader


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    found = read_page()
    assert found.tags & {"script", "style", "img", "iframe", "form", "object"} == set()
    assert {one for one in found.attributes if one.startswith("on") or one in ("style", "src")} == (
        set()
    )
    assert {one for one in found.links if not one.startswith("#")} == {"/docs.css"}


def test_each_link_of_the_page_leads_somewhere_and_each_problem_has_its_place() -> None:
    found = read_page()
    assert len(found.ids) == len(set(found.ids))
    assert {one[1:] for one in found.links if one.startswith("#")} - set(found.ids) == set()
    assert set(problem_codes()) <= set(found.ids)  # where `type` leads


def test_what_is_written_in_the_document_cannot_become_a_part_of_the_page() -> None:
    planted = json.loads(json.dumps(DOCUMENT))
    one = planted["paths"]["/v1/locks"]["get"]
    one["summary"] = one["description"] = "<script>alert(1)</script> `<b>`"
    assert "<script" not in page(planted)
    assert "<b>" not in page(planted)
