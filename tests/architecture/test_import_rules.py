"""Who may import whom. Changing a rule means editing ``RULES`` in the same commit.

The most specific name decides twice: which rule a module lives under, and, within that rule,
which of its names an import falls under. A module may always import what lies below the name
of its own rule. Rules for modules that do not exist yet wait for them.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("protocol", "bleagent")
EVERYTHING = ""

# The part of the standard library that neither reads nor writes anything outside of its
# arguments: no clock, no randomness, no files, no network, no log.
PURE_STDLIB = frozenset(
    {
        "__future__",
        "abc",
        "array",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "copy",
        "dataclasses",
        "datetime",
        "enum",
        "functools",
        "hashlib",
        "hmac",
        "itertools",
        "json",
        "math",
        "operator",
        "re",
        "string",
        "struct",
        "types",
        "typing",
    }
)

# Each touches the world. One adapter each may know it, the HTTP ones also the HTTP server.
BLE = frozenset({"bleak", "bleak_retry_connector", "dbus_fast"})
HTTP_SERVER = frozenset({"fastapi", "starlette", "uvicorn"})
EDGES = BLE | HTTP_SERVER | {"aiomqtt", "bumble", "httpx", "prometheus_client", "sqlite3"}
CLI_LIBRARIES = frozenset({"rich", "typer"})

# Ours, and known only to whoever puts the parts together.
WIRING = frozenset(
    {"bleagent.adapters", "bleagent.app", "bleagent.cli", "bleagent.http", "bleagent.simulator"}
)


@dataclass(frozen=True)
class Rule:
    """Names that may not be imported, and exceptions to them (prefixes, by whole parts)."""

    never: frozenset[str]
    may: frozenset[str] = frozenset()


def adapter(*libraries: str) -> Rule:
    """One library and no other adapter."""
    return Rule(never=(EDGES | CLI_LIBRARIES | WIRING) - frozenset(libraries))


def sink(library: str) -> Rule:
    """One library, and what all sinks have in common."""
    return Rule(
        never=(EDGES | CLI_LIBRARIES | WIRING) - {library},
        may=frozenset({"bleagent.adapters.sinks"}),
    )


# The jobs speak to the world through ports alone.
JOB = Rule(never=EDGES | CLI_LIBRARIES | WIRING | {"socket", "ssl", "subprocess", "urllib"})

CHAIN = Rule(
    never=frozenset({EVERYTHING}),
    may=PURE_STDLIB | {"protocol", "bleagent.audit.chain", "bleagent.errors"},
)

# Commands that ask the daemon: the radio takes a fifth of a second to load, for nothing here.
ASKING = (EDGES | CLI_LIBRARIES | WIRING | {"bleagent.radio"}) - {"typer"}

RULES: dict[str, Rule] = {
    "protocol": Rule(
        never=frozenset({EVERYTHING, "Crypto.Random"}),
        may=PURE_STDLIB | {"Crypto"},
    ),
    "bleagent": Rule(never=EDGES | CLI_LIBRARIES | WIRING),
    "bleagent.lock_client": JOB,
    "bleagent.unlock": JOB,
    "bleagent.instructing": JOB,
    "bleagent.rehearsal": JOB,
    "bleagent.doors": JOB,
    "bleagent.visit": JOB,
    "bleagent.issued": JOB,
    "bleagent.held_memory": JOB,
    "bleagent.check_code": JOB,
    "bleagent.endings": JOB,
    "bleagent.radio": JOB,
    "bleagent.owner": JOB,
    "bleagent.room": JOB,
    "bleagent.supervisor": JOB,
    "bleagent.waiting": JOB,
    "bleagent.session": JOB,
    "bleagent.sync.password_duty": JOB,
    "bleagent.sync.password_look": JOB,
    "bleagent.sync.password_desk": JOB,
    "bleagent.sync.questions": JOB,
    "bleagent.sync.upkeep": Rule(never=frozenset({EVERYTHING}), may=PURE_STDLIB),
    "bleagent.sync.upkeep_desk": JOB,
    "bleagent.sync.upkeep_duty": JOB,
    "bleagent.sync.upkeep_look": JOB,
    "bleagent.records.credential_report": JOB,
    "bleagent.sync.passwords": Rule(never=frozenset({EVERYTHING}), may=PURE_STDLIB | {"protocol"}),
    "bleagent.records.taking": JOB,
    "bleagent.records.record": JOB,
    "bleagent.records.identity": JOB,
    "bleagent.records.deletions": JOB,
    "bleagent.records.dating": JOB,
    "bleagent.records.backlog": JOB,
    "bleagent.records.standard_codes": JOB,
    "bleagent.records.outbox": JOB,
    "bleagent.records.names": JOB,
    "bleagent.records.verify": JOB,
    "bleagent.health.metrics": JOB,
    "bleagent.health.readiness": JOB,
    "bleagent.health.watches": JOB,
    "bleagent.health.watchdog": JOB,
    "bleagent.events": JOB,
    "bleagent.retention": JOB,
    "bleagent.health.lock_states": JOB,
    "bleagent.printable": Rule(never=frozenset({EVERYTHING}), may=PURE_STDLIB),
    "bleagent.webhooks": JOB,
    "bleagent.authority.issued_tokens": JOB,
    "bleagent.authority.shared": Rule(
        never=frozenset({EVERYTHING}), may=PURE_STDLIB | {"protocol", "bleagent.authority.guests"}
    ),
    "bleagent.authority.sharing": JOB,
    # It reads and makes texts; bytes that nobody can foretell are given to it.
    "bleagent.authority.tokens": Rule(
        never=frozenset({EVERYTHING}),
        may=PURE_STDLIB | {"protocol", "bleagent.errors", "bleagent.authority.guests"},
    ),
    "bleagent.authority.guests": Rule(
        never=frozenset({EVERYTHING}), may=PURE_STDLIB | {"bleagent.errors"}
    ),
    "bleagent.adapters": adapter(),
    "bleagent.adapters.bluez": adapter(*BLE),
    "bleagent.adapters.httpx_transport": adapter("httpx"),
    "bleagent.adapters.sqlite_store": adapter("sqlite3"),
    "bleagent.adapters.sinks": adapter(),
    "bleagent.adapters.sinks.signed_post": sink("httpx"),
    "bleagent.adapters.sinks.tuyalink": sink("aiomqtt"),
    "bleagent.http": Rule(never=(EDGES | CLI_LIBRARIES | WIRING) - HTTP_SERVER),
    # Loaded by the first who asks for metrics, and by nobody before.
    "bleagent.http.exposition": Rule(
        never=(EDGES | CLI_LIBRARIES | WIRING) - {"prometheus_client"},
        may=frozenset({"bleagent.http"}),
    ),
    "bleagent.simulator": Rule(never=(EDGES | CLI_LIBRARIES | WIRING) - HTTP_SERVER),
    # The virtual lock as a Bluetooth peripheral, on any of bumble's transports.
    "bleagent.simulator.peripheral": Rule(
        never=(EDGES | CLI_LIBRARIES | WIRING) - {"bumble"},
        may=frozenset({"bleagent.simulator"}),
    ),
    # The running daemon is put together here, and never with a simulated part.
    "bleagent.app": Rule(
        never=EDGES | CLI_LIBRARIES | {"bleagent.cli", "bleagent.simulator"},
        may=frozenset({"uvicorn"}),
    ),
    # Its part for records: the sinks, and who carries to them.
    "bleagent.wiring.carrying": Rule(
        never=EDGES | CLI_LIBRARIES | {"bleagent.cli", "bleagent.app", "bleagent.simulator"},
    ),
    # Its part for who comes in: users, and the certificate of the listener.
    "bleagent.wiring.entrance": Rule(
        never=EDGES | CLI_LIBRARIES | {"bleagent.cli", "bleagent.app", "bleagent.simulator"},
    ),
    # Its part for subscriptions: the followers, and what they send.
    "bleagent.wiring.pushing": Rule(
        never=EDGES | CLI_LIBRARIES | {"bleagent.cli", "bleagent.app", "bleagent.simulator"},
    ),
    # Its part for what is brought to locks: the desks, and who asks the cloud for what is on them.
    "bleagent.wiring.syncing": Rule(
        never=EDGES | CLI_LIBRARIES | {"bleagent.cli", "bleagent.app", "bleagent.simulator"},
    ),
    # Its part for SIGHUP: what is read again, and who goes by it from then on.
    "bleagent.wiring.reloading": Rule(
        never=EDGES | CLI_LIBRARIES | {"bleagent.cli", "bleagent.app", "bleagent.simulator"},
    ),
    # Its part for how things are: metrics and readiness.
    "bleagent.wiring.watching": Rule(
        never=EDGES | CLI_LIBRARIES | {"bleagent.cli", "bleagent.app", "bleagent.simulator"},
    ),
    # `demo` and `simulate` are commands; the demo is a user of the daemon, and of the simulator.
    "bleagent.demo.play": Rule(
        never=(EDGES | CLI_LIBRARIES | WIRING) - {"bleagent.simulator", "httpx"},
    ),
    "bleagent.demo.records": Rule(
        never=(EDGES | CLI_LIBRARIES | WIRING) - {"bleagent.simulator", "httpx"},
    ),
    "bleagent.demo.hand": Rule(
        never=(EDGES | CLI_LIBRARIES | WIRING) - {"bleagent.simulator"},
        may=frozenset({"bleagent.adapters.httpx_transport"}),
    ),
    # The doctor reads what it is told of a machine; this one machine is looked at beside it.
    "bleagent.doctor.machine": JOB,
    "bleagent.doctor.check": JOB,
    "bleagent.doctor.site": JOB,
    "bleagent.doctor.site_look": Rule(
        never=EDGES | CLI_LIBRARIES | WIRING, may=frozenset({"bleagent.adapters"})
    ),
    "bleagent.commands.doctor": Rule(never=(EDGES | CLI_LIBRARIES | WIRING) - {"typer"}),
    # Asked and told at a terminal; this machine's files, air and cloud are each in one module.
    "bleagent.init": JOB,
    "bleagent.init.plan": Rule(never=EDGES | CLI_LIBRARIES | WIRING),
    "bleagent.init.sealing": Rule(never=EDGES | CLI_LIBRARIES | WIRING),
    "bleagent.init.asking": Rule(never=(EDGES | CLI_LIBRARIES | WIRING) - {"typer"}),
    "bleagent.init.cli": Rule(never=ASKING),
    "bleagent.init.flow": Rule(never=(EDGES | CLI_LIBRARIES | WIRING) - {"typer"}),
    "bleagent.init.air": Rule(
        never=EDGES | CLI_LIBRARIES | WIRING, may=frozenset({"bleagent.adapters.bluez"})
    ),
    "bleagent.init.cloud_said": Rule(
        never=EDGES | CLI_LIBRARIES | WIRING,
        may=frozenset({"bleagent.adapters.httpx_transport"}),
    ),
    "bleagent.doctor.machine_look": Rule(
        never=EDGES | CLI_LIBRARIES | WIRING,
        may=frozenset({"bleagent.adapters.bluez"}),
    ),
    # Rows, their chain and what it proves: given what was read, and the keys.
    "bleagent.audit.chain": CHAIN,
    "bleagent.audit.verify": CHAIN,
    "bleagent.audit.writer": JOB,
    "bleagent.audit.audited": JOB,
    "bleagent.audit.files": Rule(
        never=EDGES | CLI_LIBRARIES | WIRING, may=frozenset({"bleagent.adapters.sqlite_store"})
    ),
    "bleagent.commands.audit": Rule(
        never=(EDGES | CLI_LIBRARIES | WIRING) - {"typer"},
        may=frozenset({"bleagent.adapters.sqlite_store"}),
    ),
    # What an operator does to the state directory, with the agent stopped.
    "bleagent.maintenance": Rule(
        never=EDGES | CLI_LIBRARIES | WIRING, may=frozenset({"bleagent.adapters.sqlite_store"})
    ),
    # A command that listens by itself, and draws what it hears.
    "bleagent.commands.scan": Rule(
        never=(EDGES | CLI_LIBRARIES | WIRING) - {"rich"},
        may=frozenset({"bleagent.adapters.bluez"}),
    ),
    # The commands about records ask the running daemon over its HTTP.
    "bleagent.commands.daemon_client": Rule(never=(EDGES | CLI_LIBRARIES | WIRING) - {"httpx"}),
    "bleagent.commands.records_view": Rule(never=(EDGES | CLI_LIBRARIES | WIRING) - {"rich"}),
    "bleagent.commands.records": Rule(never=ASKING),
    "bleagent.commands.records_options": Rule(never=(EDGES | CLI_LIBRARIES | WIRING) - {"typer"}),
    "bleagent.commands.tokens": Rule(never=ASKING),
    "bleagent.commands.status_screen": JOB,
    # What may leave the machine, and the machine that it is told of.
    "bleagent.bundle.contents": JOB,
    "bleagent.bundle.redaction": Rule(
        never=frozenset({EVERYTHING}), may=PURE_STDLIB | {"protocol", "urllib.parse"}
    ),
    "bleagent.commands.bundle": Rule(never=(EDGES | CLI_LIBRARIES | WIRING) - {"typer"}),
    "bleagent.commands.status": Rule(never=ASKING),
    "bleagent.commands.simulate": Rule(
        never=(EDGES | CLI_LIBRARIES | WIRING) - {"typer", "bleagent.simulator"},
    ),
    "bleagent.commands.cloud": Rule(
        never=(EDGES | CLI_LIBRARIES | WIRING) - {"typer"},
        may=frozenset({"bleagent.adapters.httpx_transport"}),
    ),
    "bleagent.commands.openapi": Rule(
        never=(EDGES | CLI_LIBRARIES | WIRING) - {"typer", "bleagent.http"},
    ),
    "bleagent.cli": Rule(never=EDGES | {"bleagent.adapters"}),
    "bleagent.__main__": Rule(
        never=EDGES | CLI_LIBRARIES | WIRING, may=frozenset({"bleagent.cli"})
    ),
    # `run`, without what only the other commands need.
    "bleagent.start": Rule(never=EDGES | CLI_LIBRARIES | WIRING, may=frozenset({"bleagent.app"})),
}


def is_below(name: str, prefix: str) -> bool:
    return prefix in (EVERYTHING, name) or name.startswith(prefix + ".")


def rule_of(module: str) -> tuple[str, Rule]:
    """The most specific rule, with its name."""
    name = max((name for name in RULES if is_below(module, name)), key=len)
    return name, RULES[name]


def is_allowed(module: str, imported: str) -> bool:
    own_name, rule = rule_of(module)
    allowed = rule.may | {own_name}
    named = [name for name in rule.never | allowed if is_below(imported, name)]
    return not named or max(named, key=len) in allowed


def imports_of(tree: ast.Module, package: str) -> list[tuple[int, str]]:
    """Line and absolute name of everything imported, in functions and type blocks too.

    ``package`` is what a relative import of one dot starts from.
    """
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found += [(node.lineno, alias.name) for alias in names]
            case ast.ImportFrom(module=base, names=names, level=level):
                parts = package.split(".")[: -(level - 1) or None] if level else []
                start = ".".join([*parts, *([base] if base else [])])
                found += [(node.lineno, f"{start}.{alias.name}") for alias in names]
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                found.append((node.lineno, name))
            case _:
                pass
    return found


def broken_rules(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """One line for each import that ``RULES`` forbids to this module."""
    package = module if is_package else module.rpartition(".")[0]
    return [
        f"{module}:{line} imports {imported}"
        for line, imported in imports_of(ast.parse(source), package)
        if not is_allowed(module, imported)
    ]


# Reach the world without an import.
IMPURE_CALLS = frozenset(
    {
        "__import__",
        "breakpoint",
        "compile",
        "eval",
        "exec",
        "input",
        "open",
        "print",
        "date.today",
        "datetime.now",
        "datetime.today",
        "datetime.utcnow",
    }
)


def impure_calls(source: str) -> list[str]:
    called = [
        (node.lineno, ast.unparse(node.func))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
    ]
    return [
        f"line {line} calls {name}()"
        for line, name in called
        if name in IMPURE_CALLS or name.removeprefix("datetime.") in IMPURE_CALLS
    ]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PURE_SOURCES = [path for path in SOURCES if module_name(path).split(".")[0] == "protocol"]


def test_there_are_modules_to_check() -> None:
    assert {module_name(path).split(".")[0] for path in SOURCES} == set(PACKAGES)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_a_module_imports_only_what_its_rule_allows(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    is_package = path.name == "__init__.py"
    assert broken_rules(source, module_name(path), is_package=is_package) == []


@pytest.mark.parametrize("path", PURE_SOURCES, ids=module_name)
def test_the_codec_calls_nothing_that_reaches_the_world(path: Path) -> None:
    assert impure_calls(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("protocol.frame", "import asyncio"),
        ("protocol.frame", "import os.path"),
        ("protocol.frame", "from time import monotonic"),
        ("protocol.frame", "def late():\n    import random"),
        ("protocol.frame", "if TYPE_CHECKING:\n    from pathlib import Path"),
        ("protocol.frame", "from Crypto.Random import get_random_bytes"),
        ("protocol.frame", "from Crypto import Random"),
        ("protocol.frame", "import bleagent.model"),
        ("protocol.frame", "from ..bleagent import model"),
        ("protocol.frame", "import attrs"),
        ("protocol.frame", "__import__('socket')"),
        ("bleagent.unlock", "import bleak.exc"),
        ("bleagent.unlock", "import sqlite3"),
        ("bleagent.unlock", "import subprocess"),
        ("bleagent.records.outbox", "from bleagent.adapters import sqlite_store"),
        ("bleagent.supervisor", "from . import simulator"),
        ("bleagent.supervisor", "importlib.import_module('bleagent.app')"),
        ("bleagent.logs", "import rich.console"),
        ("bleagent.app", "def run():\n    from .simulator import world"),
        ("bleagent.cloud.client", "import httpx"),
        ("bleagent.cloud.client", "from ..adapters.httpx_transport import HttpxTransport"),
        ("bleagent.adapters.sqlite_store", "import httpx"),
        ("bleagent.adapters.sqlite_store", "from . import bluez"),
        ("bleagent.adapters.new_one", "import bleak"),
        ("bleagent.http.routes", "from bleagent.app import App"),
        ("bleagent.__main__", "from bleagent.simulator import world"),
        ("bleagent.doctor.machine", "import subprocess"),
        ("bleagent.doctor.machine", "from bleagent.adapters.bluez import BluezBluetooth"),
        ("bleagent.doctor.machine_look", "from bleagent.adapters import sqlite_store"),
        ("bleagent.doctor.machine_look", "import dbus_fast"),
    ],
)
def test_a_planted_violation_is_found(module: str, source: str) -> None:
    assert len(broken_rules(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("protocol.frame", "from __future__ import annotations"),
        ("protocol.frame", "from collections.abc import Iterable"),
        ("protocol.frame", "from Crypto.Cipher import AES"),
        ("protocol.frame", "from .errors import FrameError"),
        ("protocol.frame", "from . import errors"),
        ("bleagent.unlock", "from protocol import Central"),
        ("bleagent.unlock", "from .ports import Ledger"),
        ("bleagent.adapters.bluez", "import bleak_retry_connector"),
        ("bleagent.adapters.sinks.file", "from .mqtt import topic"),
        ("bleagent.http.routes", "from fastapi import APIRouter"),
        ("bleagent.simulator.world", "from .virtual_lock import VirtualLock"),
        ("bleagent.app", "from .adapters import sqlite_store"),
        ("bleagent.cli", "def demo():\n    from bleagent.simulator import world"),
        ("bleagent.__main__", "from bleagent.cli import main"),
        ("bleagent.doctor.machine_look", "from bleagent.adapters.bluez.stack import BluezStack"),
    ],
)
def test_an_import_that_the_design_wants_is_let_through(module: str, source: str) -> None:
    assert broken_rules(source, module) == []


def test_a_relative_import_in_a_package_starts_from_the_package_itself() -> None:
    assert broken_rules("from .simulator import world", "bleagent", is_package=True) == [
        "bleagent:1 imports bleagent.simulator.world"
    ]


@pytest.mark.parametrize(
    "source", ["print(1)", "open('x')", "eval('1')", "datetime.now()", "datetime.datetime.now(UTC)"]
)
def test_a_planted_call_into_the_world_is_found(source: str) -> None:
    assert len(impure_calls(source)) == 1


def test_a_method_that_shares_its_name_with_one_is_not() -> None:
    assert impure_calls("seal.open(frame); re.compile('x'); clock.now()") == []
