"""Read the vendor's API documents: what each API takes, and the samples of its answers.

    python tests/vendor/documents.py DOCUMENT ... > bleagent/simulator/vendor_apis.json

The documents are texts saved from web pages: rows of tables are broken over lines, and the JSON
of the samples is not always JSON. What is repaired here is repaired in ``_repaired`` alone.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_ACTION = re.compile(r"\b((?:doorLock|device|timer)\.\w+)")
_VIDEO = re.compile(r"^POST (/v1\.0/\S*\{device_id\}\S*)$")
_HEADINGS = (
    ("Sample response on failure", "failure"),
    ("Sample response", "answered"),
    ("返回示例", "answered"),
    ("Sample request", "asked"),
    ("请求示例", "asked"),
    ("Request parameter", "request"),
    ("请求参数", "request"),
    ("Parameter | Type | Position", "request"),
    ("Return parameter", "return"),
    ("Response parameter", "return"),
    ("返回参数", "return"),
    ("Parameter | Type | Description |", "return"),
    ("Example", "answered"),
)
"""What comes after a line that has such words in it."""
_YES = {"Yes": True, "No": False, "否": True, "是": False, "": False}
"""Whether it must be there. The Chinese column asks whether it may be left out."""


@dataclass(slots=True)
class Document:
    """One section about one API."""

    name: str
    version: str = ""
    lock_types: list[str] = field(default_factory=list)
    note: str = ""
    parameters: list[dict[str, Any]] = field(default_factory=list)
    nested: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    request: Any = None
    response: Any = None


def read(text: str) -> list[Document]:
    """The sections of one document, in its order."""
    lines = text.splitlines()
    starts = [(at, name) for at in range(len(lines)) if (name := _name(lines, at))]
    ends = [*(at for at, _ in starts[1:]), len(lines)]
    found, before = [], 0
    for (at, name), end in zip(starts, ends, strict=True):
        one = Document(name=name)
        for line in lines[before:at]:  # what is said of an API stands in front of its name
            if line.startswith("Applicable lock type |"):
                one.lock_types.append(line.split("|")[1].strip())
            if line.startswith("说明: "):
                one.note = line.removeprefix("说明: ")
        _fill(one, lines[at:end])
        found.append(one)
        before = at
    return _from_index(lines, found)


def _name(lines: list[str], at: int) -> str:
    """The API whose section begins at a line; none begins at most of them."""
    before, line = lines[at - 1] if at else "", lines[at]
    if before == "API endpoint" and (action := _ACTION.search(line)):
        return action[1]
    if before == "API 名称":
        return line.strip()
    return video[1] if (video := _VIDEO.match(line)) else ""


def _fill(one: Document, lines: list[str]) -> None:
    part, table, at = "request", "", 0
    while at < len(lines):
        line = lines[at].strip()
        if line == "API 版本":
            one.version = lines[at + 1].strip()
        part = next((what for heading, what in _HEADINGS if heading in line), part)
        if "|" in line and lines[at + 1 : at + 2] and lines[at + 1].startswith("---|"):
            rows, at = _table(lines, at)
            if part == "request":
                into = one.nested.setdefault(table, []) if table else one.parameters
                into += rows
        elif line[:1] in ("{", "["):
            found, at = _json(lines, at)
            _keep(one, part, found)
        else:
            named = re.fullmatch(r"(?:Description of )?([a-z]\w+)", line)
            table = named[1] if named else table
            at += 1


def _keep(one: Document, part: str, found: Any) -> None:
    """A sample, of a request or of an answer; the first of each counts."""
    if part == "failure":
        return
    if part == "asked" or (part == "request" and "success" not in found):
        one.request = _params(found) if one.request is None else one.request
    elif one.response is None:
        one.response = found


def _table(lines: list[str], at: int) -> tuple[list[dict[str, Any]], int]:
    """The rows below a header; a row goes on until it has as many cells."""
    header = [cell.strip() for cell in lines[at].split("|")]
    width = lines[at].count("|")
    must = next(
        (
            header.index(one)
            for one in ("Required", "Yes", "Mandatory", "参数是否可选")
            if one in header
        ),
        None,
    )
    kind = next((header.index(one) for one in ("Type", "类型") if one in header), 1)
    rows, at, row = [], at + 2, ""
    while at < len(lines) and (row or "|" in lines[at]):
        if lines[at].startswith(("{", "[", "Sample ")):
            break  # a row that never came to its end
        row += lines[at]
        at += 1
        cells = [cell.strip() for cell in row.split("|")]
        said = must is not None and cells[must : must + 1] in (["Yes"], ["No"])
        if said or row.count("|") >= width:
            needed = cells[must] if must is not None else ""
            rows.append(
                {"name": cells[0], "type": cells[kind],
                 "required": _YES.get(needed, needed)}
            )  # fmt: skip
            row = ""
    return rows, at


def _json(lines: list[str], at: int) -> tuple[Any, int]:
    """The block that begins here, mended, and where it ends."""
    text, depth = "", 0
    while at < len(lines):
        line = lines[at]
        if line.startswith(("Applicable lock", "API ", "Sample ")):
            break
        text += line + "\n"
        depth += sum(line.count(one) for one in "{[") - sum(line.count(one) for one in "}]")
        at += 1
        if depth <= 0 and not line.endswith(('"resultDO": {',)):
            break
    return json.loads(_repaired(text)), at


def _repaired(text: str) -> str:
    """JSON, of what the documents have instead."""
    text = text.replace('"result": "resultDO": {', '"resultDO": {')
    text = re.sub(r"(?<!:)//.*", "", text)
    text = re.sub(r"'([^'\n]*)'", r'"\1"', text) if "Tenant" not in text else text
    text = re.sub(r'("result":)\s*\n?}', r"\1 null}", text)
    text = re.sub(r'"\n"', '",\n"', text)
    opened = [one for one in re.sub(r'"(?:\\.|[^"\\])*"', "", text) if one in "{[]}"]
    stack: list[str] = []
    for one in opened:
        if one in "{[":
            stack.append("}" if one == "{" else "]")
        else:
            stack.pop()
    text += "".join(reversed(stack))
    return re.sub(r",(\s*[}\]])", r"\1", text)


def _params(found: Any) -> Any:
    return found["params"] if isinstance(found, dict) and "params" in found else found


def _from_index(lines: list[str], found: list[Document]) -> list[Document]:
    """What the index of actions has and no section describes."""
    known = {one.name for one in found}
    for line in lines:
        if (action := re.match(r"((?:doorLock|device|timer)\.\w+) \|", line)) and (
            action[1] not in known
        ):
            found.append(Document(name=action[1], note="listed, and described nowhere"))
            known.add(action[1])
    return found


def main(paths: list[str]) -> None:
    """Print what the documents say, as JSON."""
    found = [one for path in paths for one in read(Path(path).read_text(encoding="utf-8"))]
    shown = ",\n".join(json.dumps(asdict(one), ensure_ascii=False) for one in found)
    sys.stdout.write(f"[\n{shown}\n]\n")


if __name__ == "__main__":
    main(sys.argv[1:])
