"""SIGHUP: what of the configuration comes into force while we run, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest

from bleagent.audit.chain import Audit
from bleagent.config.base import Section
from bleagent.config.changes import TABLE, Change, Takes, changes
from bleagent.config.file import Config, load_config
from bleagent.config.secret_source import SecretSource
from bleagent.config.secrets import credentials_directory, load_http_token, load_secrets
from bleagent.doors import Door
from bleagent.errors import ScopeMissing
from bleagent.health.watches import ConfigWatch
from bleagent.http.auth import Tokens, Unauthorized
from bleagent.http.callers import Callers, User, Users
from bleagent.http.peer import Peer
from bleagent.policy import Connection, Offline, Policy
from bleagent.wiring.entrance import users_of
from bleagent.wiring.reloading import Reloading
from tests.agent.world import DOOR, World, rehearse

ANNA, STAFF = 4001, 4050
ANNAS = Peer(uid=ANNA, gids=frozenset({ANNA, STAFF}))
ROOT = Path(__file__).resolve().parents[2]


# -- the table


def sections_in(annotation: Any) -> Iterator[type[Section]]:
    """The sections that a field's type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from sections_in(part)


def keys_of(section: type[Section], above: str = "") -> Iterator[str]:
    """Every key, those of sections within too; of a secret only where it stands."""
    for name, field in section.model_fields.items():
        key = f"{above}{name}"
        inner = [one for one in sections_in(field.annotation) if one is not SecretSource]
        if not inner:
            yield key
        for one in inner:
            yield from keys_of(one, f"{key}.")


KEYS = set(keys_of(Config))


def test_there_are_keys_to_look_at() -> None:
    assert {"http.tls.key", "locks.strategies.offline", "webhooks.url", "state_dir"} <= KEYS


def test_every_section_is_in_the_table_and_nothing_else_is() -> None:
    assert {key.partition(".")[0] for key in KEYS} == {key.partition(".")[0] for key in TABLE}
    for named in TABLE:
        assert any(key == named or key.startswith(f"{named}.") for key in KEYS), named


def test_a_lock_follows_the_defaults_in_what_may_change() -> None:
    def of(above: str) -> dict[str, Takes]:
        mine = [key.removeprefix(above) for key in KEYS if key.startswith(above)]
        return {key: Change(key=above + key).takes for key in mine}

    assert of("strategies.") == of("locks.strategies.")
    assert {of("strategies.")[name] for name in ("passwords", "upkeep")} == {Takes.RESTART}


def test_a_policy_that_is_changed_while_we_run_says_the_same_of_what_the_lock_is() -> None:
    for key in ("protocol", "generation", "security_v2", "dps", "local_key", "uuid", "adapter"):
        assert Change(key=f"locks.{key}").takes is Takes.RESTART


def test_the_readme_names_what_needs_no_restart() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith("| without a restart |")]
    names = {key.rpartition(".")[2] for key, takes in TABLE.items() if takes is Takes.RELOAD}
    assert {name for name in names if f"`{name}`" not in row} == set()


# -- what is another one


class Files:
    """A configuration with its secrets, to be changed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "config.toml"
        for name, text in (("token", "t" * 20), ("other", "o" * 20), ("key", "k" * 16)):
            (folder / name).touch(0o600)
            (folder / name).write_text(text)
        self.text = (
            f'state_dir = "{folder}/state"\n[http]\ntoken = {{ file = "{folder}/token" }}\n#http\n'
            f"[[http.users]]\nuid = {ANNA}\n"
            '[cloud]\nbase_url = "https://cloud.example/a"\nsigner = "none"\n[strategies]\n#all\n'
            + "".join(
                f'[[locks]]\nname = "{name}"\ndevice_id = "{name}"\nuuid = "tuya{name:0>12}"\n'
                f'local_key = {{ file = "{folder}/key" }}\n#{name}\n'
                for name in ("front", "back")
            )
        )
        self.path.write_text(self.text)

    def say(self, *pairs: tuple[str, str]) -> None:
        """The first file, with each of these instead of what stood there."""
        text = self.text
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        self.path.write_text(text)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "found", "takes"),
    [
        ("#http", 'allowed_hosts = ["gate"]', "http.allowed_hosts", Takes.RELOAD),
        ("uid = 4001", "uid = 4002", "http.users", Takes.RELOAD),
        ("/token", "/other", "http.token", Takes.RELOAD),
        ("#front", "linger = 20", "locks.linger of front", Takes.RELOAD),
        ("#back", 'connection = "held"', "locks.connection of back", Takes.RELOAD),
        ("#http", "port = 8581", "http.port", Takes.RESTART),
        ("#http", 'host = "127.0.0.1"', "http.tcp", Takes.RESTART),  # the default, said
        ("#http", 'tls = { certificate = "/c", key = { file = "/k" } }', "http.tls", Takes.RESTART),
        ("example/a", "example/b", "cloud.base_url", Takes.RESTART),
        ("[cloud]", "[radio]\nslots = 5\n[cloud]", "radio.slots", Takes.RESTART),
        ("[cloud]", "[vault]\ncreate = false\n[cloud]", "vault.create", Takes.RESTART),
        ("[cloud]", "[records]\nkeep_days = 5\n[cloud]", "records.keep_days", Takes.RESTART),
        ("/state", "/elsewhere", "state_dir", Takes.RESTART),
        ('name = "back"', 'name = "rear"', "locks", Takes.RESTART),
        ("#back", 'protocol = "4.0"', "locks.protocol of back", Takes.RESTART),
        ("/key", "/other", "locks.local_key of front", Takes.RESTART),
    ],
)
def test_what_is_changed_is_named_and_looked_up(
    files: Files, old: str, new: str, found: str, takes: Takes
) -> None:
    before = load_config(files.path)
    assert changes(before, load_config(files.path)) == []
    files.say((old, new))
    told = {str(one): one.takes for one in changes(before, load_config(files.path))}
    assert told[found] is takes
    assert set(told.values()) == {takes}


# -- coming into force


class Told(Audit):
    def __init__(self) -> None:
        self.events: list[str] = []

    def tell(self, event: str, **_: object) -> None:
        self.events.append(event)


class Gate:
    """What a running daemon has of its configuration."""

    def __init__(self, files: Files) -> None:
        config = load_config(files.path)
        found = load_secrets(config, None)
        self.tokens = Tokens(found.http_token)
        self.users = users_of(config)
        self.callers = Callers(self.tokens, self.users)
        self.followed: list[str] = []
        self.doors = {one.name: Door(found.locks[one.name], one.policy()) for one in config.locks}
        self.watch = ConfigWatch()
        self.audit = Told()
        self.reloading = Reloading(
            path=files.path, config=config, tokens=self.tokens, users=self.users, tls=None,
            doors=self.doors, follow=lambda lock, _: self.followed.append(lock), watch=self.watch,
            audit=self.audit,
        )  # fmt: skip

    def reload(self) -> str | None:
        """Whether it was refused, and by which code."""
        anyio.run(self.reloading.once)
        return None if self.watch.trouble is None else self.watch.trouble.code


@pytest.fixture
def gate(files: Files) -> Gate:
    return Gate(files)


def test_a_right_one_comes_into_force(files: Files, gate: Gate) -> None:
    files.say(
        ("#http", 'allowed_hosts = ["gate"]'), ("#front", "linger = 20"),
        ("#all", 'offline = "cached"'), ("/token", "/other"),
    )  # fmt: skip
    assert gate.reload() is None
    assert gate.reloading.allowed_hosts() == ("gate",)
    assert gate.doors["front"].policy.linger == 20
    assert {one.policy.offline for one in gate.doors.values()} == {Offline.CACHED}
    assert gate.followed == ["front", "back"]
    assert gate.callers.principal(f"Bearer {'o' * 20}").id == "token"
    with pytest.raises(Unauthorized):
        gate.callers.principal(f"Bearer {'t' * 20}")
    assert "config.read" in gate.audit.events


def test_the_same_one_changes_nothing_and_is_not_written_down(gate: Gate) -> None:
    assert gate.reload() is None
    assert gate.followed == []
    assert gate.audit.events == ["token.read"]


def test_with_a_change_that_needs_a_restart_nothing_of_it_is_applied(
    files: Files, gate: Gate
) -> None:
    files.say(
        ("#http", 'port = 8581\nallowed_hosts = ["gate"]'), ("#front", "linger = 20"),
        (f"uid = {ANNA}", "uid = 1"), ("example/a", "example/b"),
    )  # fmt: skip
    assert gate.reload() == "restart-needed"
    assert gate.watch.trouble is not None
    assert gate.watch.trouble.detail.endswith(
        "needs a restart: cloud.base_url, http.port, http.tcp"
    )
    assert gate.reloading.allowed_hosts() == ()
    assert gate.doors["front"].policy.linger == 10
    assert gate.followed == []
    assert gate.callers.principal(None, ANNAS).id == f"uid:{ANNA}"
    assert gate.audit.events[0] == "config.not_read"


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("example/a", "example/a?HUSH=1", "config-invalid", "base_url"),
        ("#front", "linger = 500", "config-invalid", "linger"),
        ("[http]", "[http", "config-invalid", "not TOML"),
        ("#front", "lingr = 5", "config-invalid", "lingr"),
        ("/token", "/nowhere", "secret-unusable", "http.token"),
        ("#http", "socket_group = 5", "config-invalid", "socket_group"),
    ],
)
def test_a_wrong_one_is_refused_with_the_words_of_a_start_and_the_old_one_stays(
    files: Files, gate: Gate, capsys: pytest.CaptureFixture[str], old: str, new: str, code: str,
    said: str,
) -> None:  # fmt: skip
    files.say((old, new))
    assert gate.reload() == code
    assert said in capsys.readouterr().out
    assert gate.watch.trouble is not None
    assert "\n" not in gate.watch.trouble.detail
    assert "HUSH" not in gate.watch.trouble.detail  # what was found is for the log
    assert gate.doors["front"].policy.linger == 10
    assert gate.callers.principal(f"Bearer {'t' * 20}").id == "token"
    files.say()
    assert gate.reload() is None


def test_a_file_that_is_gone_is_refused(files: Files, gate: Gate) -> None:
    files.path.unlink()
    assert gate.reload() == "config-invalid"


def test_a_token_that_leaked_is_replaced_whatever_the_file_says(files: Files, gate: Gate) -> None:
    files.path.write_text("no TOML")
    (files.path.parent / "token").write_text("n" * 20)
    assert gate.reload() == "config-invalid"
    assert gate.callers.principal(f"Bearer {'n' * 20}").id == "token"
    assert load_http_token(gate.reloading.config, credentials_directory()).reveal() == b"n" * 20


def test_a_fault_of_ours_changes_nothing_and_is_told(
    files: Files, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.say(("#front", "linger = 20"))

    def broken(*_: object) -> Config:
        raise RuntimeError("CANARY")

    monkeypatch.setattr("bleagent.wiring.reloading.load_config", broken)
    monkeypatch.setattr("bleagent.wiring.reloading.load_http_token", broken)
    assert gate.reload() == "agent-error"
    assert gate.watch.trouble is not None
    assert "CANARY" not in gate.watch.trouble.detail
    assert gate.doors["front"].policy.linger == 10


# -- who is on the way meanwhile


@pytest.mark.parametrize(
    ("said", "stays"),
    [
        (f"uid = {ANNA}\nscopes = ['operate:front']", True),
        (f"uid = {ANNA}\n[[http.users]]\nuid = 7", True),
        (f"uid = {ANNA}\nscopes = ['operate:back']", False),
        ("uid = 7", False),
    ],
)
def test_an_operation_of_who_may_it_no_more_stops_and_the_others_go_on(
    files: Files, gate: Gate, said: str, stays: bool
) -> None:
    caller = gate.callers.principal(None, ANNAS)
    files.say((f"uid = {ANNA}", said))
    assert gate.reload() is None
    if stays:
        gate.callers.require_good(caller, "front")
    else:
        with pytest.raises(ScopeMissing):
            gate.callers.require_good(caller, "front")


def test_one_of_a_group_is_known_by_it_again(gate: Gate) -> None:
    staff = User(gids=frozenset({STAFF}), scopes=frozenset({"operate:front"}))
    gate.users.replace(Users([staff]))
    caller = gate.callers.principal(None, ANNAS)
    gate.callers.require_good(caller, "front")
    gate.users.replace(Users())
    with pytest.raises(ScopeMissing):
        gate.callers.require_good(caller, "front")


def follow(world: World, **policy: Any) -> None:
    """Another policy, as a reload has it."""
    doors: Any = world.doors._doors
    door = doors[DOOR]
    now: Policy = replace(door.policy, **policy)
    doors[DOOR] = replace(door, policy=now)
    world.doors._supervisor.follow(DOOR, now)


def test_a_lock_that_is_to_be_held_is_connected_to_and_left_when_it_is_not() -> None:
    async def story(world: World) -> None:
        await anyio.sleep(60)
        assert not world.doors.connected(DOOR)
        follow(world, connection=Connection.HELD)
        await anyio.sleep(60)
        assert world.doors.connected(DOOR)
        follow(world, connection=Connection.ON_DEMAND)
        await anyio.sleep(1)
        assert not world.doors.connected(DOOR)
        assert (await world.operate()).ending is not None
        await anyio.sleep(60)
        assert not world.doors.connected(DOOR)

    rehearse(story)


def test_an_operation_goes_on_by_the_policy_that_it_began_with() -> None:
    async def story(world: World) -> None:
        async with anyio.create_task_group() as tasks:
            outcomes: list[str] = []

            async def ask() -> None:
                record = await world.operate()
                assert record.ending is not None
                outcomes.append(record.ending.outcome.value)

            tasks.start_soon(ask)
            await anyio.sleep(0.05)
            assert world.doors.busy(DOOR)
            follow(world, connection=Connection.WARM, linger=50.0, member=7)
        assert outcomes == ["confirmed"]
        assert len(world.actuations()) == 1
        await anyio.sleep(60)
        assert world.doors.connected(DOOR)  # warm by now, so that it is kept after that use

    rehearse(story)
