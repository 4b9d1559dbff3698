"""How records look: a table for people, CSV for their spreadsheets. The daemon's JSON goes in."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bleagent.printable import printable

Json = Mapping[str, Any]

WIDE = 160
"""Characters of a line where no terminal says how many it has."""
_MARKS = {"received": "~", "unknown": "?"}
LEGEND = {
    "~": "~ the lock has no date: when it came in",
    "?": "? no date can be told: it was before then",
}
_TITLES = ("time", "lock", "what", "who", "sinks")
# Characters of the columns at most (of the sinks at least), and of the others at least.
_TIME, _LOCK, _WHAT, _WHO, _SINKS, _GAP = 20, 12, 32, 14, 12, 2
_WHAT_LEAST, _WHO_LEAST = 20, 8
ID = 32 + _GAP
"""Characters that a column of ids takes beside the others."""
LEAST = _TIME + _LOCK + _WHAT_LEAST + _WHO_LEAST + _SINKS + 4 * _GAP
STEADY = _TIME + _LOCK + _WHAT + _WHO + _SINKS + 4 * _GAP
"""Characters of a line that a table needs, and one with steady columns."""
_STATES = {"done": "green", "waiting": "yellow", "held": "cyan", "parked": "bold red"}
_SEVERITIES = {"critical": "bold red", "warning": "yellow"}


def console(output: TextIO) -> Console:
    """Colour and the width of a terminal on a terminal; neither elsewhere."""
    if output.isatty():
        return Console(file=output, highlight=False)
    return Console(file=output, highlight=False, width=WIDE, color_system=None)


# -- the table


def table_of(
    records: Sequence[Json],
    width: int,
    *,
    steady: bool = False,
    header: bool = True,
    ids: bool = False,
) -> Table:
    """Time, lock, what, who, and how far each sink is, in lines of ``width`` characters.

    ``steady``: columns do not depend on what is in them, so that more can go below them. ``ids``:
    the last column is the record's id.
    """
    width -= ID if ids else 0
    table = Table(box=None, pad_edge=False, show_header=header, padding=(0, 2, 0, 0))
    rows = [_cells(one) for one in records]
    for title, size in zip(_TITLES, _widths(rows, width, steady=steady), strict=True):
        table.add_column(title, width=size, overflow="fold")
    if ids:
        table.add_column("id", no_wrap=True)
    for one, cells in zip(records, rows, strict=True):
        table.add_row(*cells, *([Text(_word(one, "id"))] if ids else []))
    return table


def _widths(rows: Sequence[Sequence[Text]], width: int, *, steady: bool) -> list[int]:
    """Of the columns: as much as is needed, and the sinks have what the others leave."""

    def need(column: int) -> int:
        return max([len(_TITLES[column]), *(row[column].cell_len for row in rows)])

    most = (_TIME, _LOCK, _WHAT, _WHO)
    sizes = [size if steady else min(size, need(n)) for n, size in enumerate(most)]
    wanted = _SINKS if steady else min(_SINKS, need(4))
    for column, least in ((2, _WHAT_LEAST), (3, _WHO_LEAST)):
        lacking = wanted - (width - sum(sizes) - 4 * _GAP)
        sizes[column] -= max(0, min(lacking, sizes[column] - least))
    return [*sizes, max(wanted, width - sum(sizes) - 4 * _GAP)]


def _cells(one: Json) -> list[Text]:
    mark = _MARKS.get(_word(one, "quality"), "")
    return [
        Text(f"{_local(one)}{mark}"),
        Text(_word(one, "lock")),
        Text(_word(one, "title"), style=_style(one)),
        Text(_who(one)),
        sinks_of(one),
    ]


def _who(one: Json) -> str:
    """The person, and that it was this gateway that was asked, over HTTP."""
    asked = ["this gateway"] if one.get("operation") else []
    return ", by ".join(filter(None, [_word(one, "who"), *asked]))


def _style(one: Json) -> str:
    if one.get("severity"):
        return _SEVERITIES.get(_word(one, "severity"), "")
    return "" if one.get("category") == "opening" else "dim"


def sinks_of(one: Json) -> Text:
    """How far it is: one word where all sinks are alike, else each of them."""
    told = list(_deliveries(one))
    if not told:
        return Text("-", style="dim")
    if len({(state, code) for _, state, code in told}) == 1:
        told = [("", *told[0][1:])]
    cell = Text()
    for number, (sink, state, code) in enumerate(told):
        cell.append(", " if number else "")
        cell.append(f"{sink} " if sink else "")
        cell.append(state, style=_STATES.get(state, "dim"))
        cell.append(f" {code}" if code else "")
    return cell


def _deliveries(one: Json) -> Iterator[tuple[str, str, str]]:
    """Sink, state and code; ``held`` while older records of the lock may still come."""
    for delivery in _list(one, "deliveries"):
        state, code = _word(delivery, "state"), _word(delivery, "code")
        if state == "waiting" and not one.get("released"):
            state = "held"
        yield _word(delivery, "sink"), state, "" if state == "done" else code


def notes_of(records: Sequence[Json]) -> Iterator[str]:
    """What has to be said below: the marks in use, and the parked ones with their ids."""
    marks = {_MARKS.get(_word(one, "quality")) for one in records}
    yield from (words for mark, words in LEGEND.items() if mark in marks)
    parked = [
        f"  {_word(one, 'id')}  {sink}{f' {code}' if code else ''}  {_word(one, 'title')}"
        for one in records
        for sink, state, code in _deliveries(one)
        if state == "parked"
    ]
    if parked:
        yield "parked, for somebody to decide (bleagent records retry ID, or drop ID):"
        yield from parked


def line_of(one: Json, *, ids: bool = False) -> str:
    """One record in one line, its id at the end."""
    who = _who(one)
    told = f"{_word(one, 'title')} ({who})" if who else _word(one, "title")
    line = f"{_local(one)}  {_word(one, 'lock')}  {told}  [{sinks_of(one).plain}]"
    return f"{line}  {_word(one, 'id')}" if ids else line


def outbox_tables(found: Json) -> Iterator[Table]:
    """What waits for each sink, what was taken off each lock, which routes are closed."""
    sinks = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("sink", "waiting", "held", "oldest", "done", "parked", "dropped", "refused locks"):
        left = name in ("sink", "refused locks")
        sinks.add_column(name, justify="left" if left else "right", no_wrap=name != "refused locks")
    for one in _list(found, "sinks"):
        closed = one.get("routes_closed")
        sinks.add_row(
            Text(_word(one, "sink") + (" (no longer configured)" if _is_gone(one) else "")),
            _count({"waiting": _released(one)}, "waiting", "yellow"),
            _count(one, "held", "cyan"),
            Text(age_of(one.get("oldest_waiting_s"))),
            _count(one, "done", "green"),
            _count(one, "parked", "bold red"),
            _count(one, "dropped", "dim"),
            Text(printable(", ".join(f"{lock} ({code})" for lock, code in closed.items())))
            if isinstance(closed, dict)
            else "",
        )
    yield sinks
    locks = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("lock", "taken", "came twice", "gaps"):
        locks.add_column(name, justify="left" if name == "lock" else "right", no_wrap=True)
    for one in _list(found, "locks"):
        locks.add_row(
            Text(_word(one, "lock")), _count(one, "taken", ""), _count(one, "duplicate", ""),
            _count(one, "gaps", "yellow"),
        )  # fmt: skip
    yield locks


def outbox_notes(found: Json) -> Iterator[str]:
    """What has to be said below: what can be done about a sink that is gone."""
    for one in _list(found, "sinks"):
        if _is_gone(one):
            name = _word(one, "sink")
            yield (
                f"{name} is no longer configured, so that nothing carries what is left for it: "
                "configure a sink of that name again and restart the daemon, "
                f"or give it all up (bleagent records forget-sink {name})"
            )


def _is_gone(one: Json) -> bool:
    return one.get("configured") is False


def _released(one: Json) -> Any:
    """How many wait for the sink itself, and not for older records."""
    waiting, held = one.get("waiting"), one.get("held")
    if isinstance(waiting, int) and isinstance(held, int):
        return waiting - held
    return waiting


def _count(one: Json, name: str, style: str) -> Text:
    count = _word(one, name)
    return Text(count, style="dim" if count == "0" else style)


def age_of(seconds: Any) -> str:
    """A rough age, such as 40 s, 12 min, 5 h or 3 d."""
    if not isinstance(seconds, int | float):
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def verified_lines(found: Json) -> Iterator[str]:
    """What the comparison came to."""
    yield f"{_word(found, 'agree')} agree"
    for name, words in (
        ("lacking", "here, and not in the cloud"),
        ("twice", "more often in the cloud than here"),
        ("unknown", "in the cloud, and not here"),
    ):
        every = _list(found, name)
        if every:
            yield f"{len(every)} {words}:"
        for one in every:
            yield f"  {_here(one)}  {_word(one, 'code')} {_word(one, 'value')}".rstrip()
    if not found.get("complete"):
        yield "the cloud did not tell all of that time: the above is not the whole"


def _here(one: Json) -> str:
    """When, in local time; as it was told where that is no time."""
    try:
        moment = datetime.fromisoformat(_word(one, "at"))
    except ValueError:
        return _word(one, "at")
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


# -- CSV

COLUMNS = (
    "id", "seq", "lock", "at", "local", "quality", "kind", "value", "category", "severity",
    "title", "who", "live", "operation", "late", "released", "taken_at",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet would carry out."""


def write_csv(records: Iterable[Json], output: TextIO) -> int:
    """RFC 4180, a line for each record as it comes; how many. ``output`` has newline=""."""
    rows = csv.writer(output, lineterminator="\r\n")
    rows.writerow([*COLUMNS, "deliveries"])
    count = 0
    for count, one in enumerate(records, 1):  # noqa: B007 - the last one is wanted
        cells = [_cell(one.get(name)) for name in COLUMNS]
        carried = "; ".join(" ".join(filter(None, told)) for told in _deliveries(one))
        rows.writerow([*cells, _cell(carried)])
    return count


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


# -- what the daemon said


def _word(one: Json, name: str) -> str:
    """As text that does nothing to a terminal; empty where there is none."""
    value = one.get(name)
    return "" if value is None else printable(str(value))


def _list(one: Json, name: str) -> list[dict[str, Any]]:
    every = one.get(name)
    return [part for part in every if isinstance(part, dict)] if isinstance(every, list) else []


def _local(one: Json) -> str:
    """The gateway's local time, without its offset."""
    try:
        return datetime.fromisoformat(_word(one, "local")).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return "no date"
