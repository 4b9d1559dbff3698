"""The configuration file: what is read, and exactly what is said about what cannot be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bleagent.authority.tokens import EVERY_SCOPE
from bleagent.cloud.settings import CloudSettings, Signer, Transport
from bleagent.config.file import load_config
from bleagent.config.secrets import cloud_settings, load_secrets, load_vault_key, load_vault_keys
from bleagent.errors import ConfigError, SecretError
from bleagent.http.peer import Peer
from bleagent.policy import (
    CodeSource,
    Connection,
    DeviceRandom,
    LockVia,
    Offline,
    PasswordDelivery,
    Policy,
    SharingLock,
    SnStart,
    Upkeep,
)
from bleagent.wiring.entrance import users_of
from protocol import DpName, InstructionAir, Secret

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "systemd" / "config.example.toml"

HTTP = '[http]\ntoken = { credential = "http-token" }\n'
CLOUD = (
    '[cloud]\nbase_url = "https://cloud.example/faas"\nclient_id = "client"\n'
    'secret = { credential = "cloud-secret" }\n'
)
LOCK = (
    '[[locks]]\nname = "front-door"\ndevice_id = "vdevo16036791579"\nuuid = "0123456789abcdef"\n'
    'local_key = { credential = "local-key" }\n'
)
WHOLE = HTTP + CLOUD + LOCK


def written(folder: Path, text: str) -> Path:
    path = folder / "bleagent.toml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(folder: Path, text: str) -> str:
    """What is said about a file, without its name."""
    path = written(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return "\n".join(line.removeprefix(f"{path}: ") for line in lines)


def test_the_example_is_read() -> None:
    config = load_config(EXAMPLE)
    assert [lock.name for lock in config.locks] == ["front-door"]
    assert config.locks[0].strategies.offline is Offline.NEVER


def test_what_the_example_comments_out_is_the_default(tmp_path: Path) -> None:
    """Every commented setting that can stand there says what holds without it."""
    example = EXAMPLE.read_text(encoding="utf-8")
    optional = (
        "# address",
        "# sec_key",
        "# auth_key",
        "# protocol",
        "# key",
        "# previous",
        "# action_url",
        "# panel_url",
        "# uid",
        "# wx_app_id",
        "# socket",
        "# tcp",
        "# adapters",
        "# adapter",
        "# name",
    )
    lines = [
        line if line.startswith(optional) else re.sub(r"^# (?=[a-z_]+ = )", "", line)
        for line in example.splitlines()
    ]
    assert sum(a != b for a, b in zip(lines, example.splitlines(), strict=True)) >= 16
    spelled_out = load_config(written(tmp_path, "\n".join(lines)))
    default = load_config(EXAMPLE)
    assert spelled_out.model_dump(exclude={"locks"}) == default.model_dump(exclude={"locks"})
    assert spelled_out.locks[0].dpmap() == default.locks[0].dpmap()
    assert spelled_out.locks[0].generation == default.locks[0].generation


def test_each_section_that_the_example_comments_out_can_be_used(tmp_path: Path) -> None:
    lines = [
        re.sub(
            r"^#(?=   [a-z_]+ = | \[\[(sinks|http\.users)\]| \[(http\.tls|webhooks\.))", "", line
        )
        for line in EXAMPLE.read_text(encoding="utf-8").splitlines()
    ]
    config = load_config(written(tmp_path, "\n".join(lines)))
    assert [one.uids for one in config.http.users] == [{1000}]
    assert [one.granted for one in config.http.users] == [{"read", "operate:*"}]
    assert config.http.tls is not None
    assert list(config.webhooks) == ["home"]
    assert [one.type for one in config.sinks] == ["openapi", "tuyalink", "webhook", "file"]
    plain = {"name": None, "tls": True, "allow_private": False, "max_bytes": 10_000_000, "keep": 5}
    for sink in config.sinks:
        assert sink.model_dump(include=set(plain)) == plain


def test_the_defaults_are_those_of_the_rules(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, WHOLE))
    strategies = config.lock("front-door").strategies  # type: ignore[union-attr]
    assert strategies.model_dump() == {
        "device_random": DeviceRandom.ISSUED_CODE,
        "code_source": CodeSource.WAKE_UP_INS,
        "sn_start": SnStart.STORED,
        "instruction_air": InstructionAir.AS_SEALED,
        "lock_via": LockVia.DP46,
        "offline": Offline.NEVER,
        "offline_max_age": 86400.0,
        "sharing": SharingLock.NAMED,
        "passwords": PasswordDelivery.LEAVE,
        "upkeep": Upkeep.LEAVE,
    }
    assert (config.http.host, config.http.port) == ("127.0.0.1", 8580)
    assert (config.cloud.transport, config.cloud.signer) == (Transport.ACTION, Signer.FAAS)
    assert config.state_dir == Path("/var/lib/bleagent")
    assert config.lock("back-door") is None


def test_users_are_looked_up_on_this_machine(tmp_path: Path) -> None:
    users = (
        '[[http.users]]\nuser = "root"\n[[http.users]]\nuid = 7\n[[http.users]]\ngroup = "root"\n'
    )
    more = 'socket = "/run/bleagent/http.sock"\ntcp = false\nallowed_hosts = ["gate.lan"]\n'
    http = load_config(written(tmp_path, HTTP + more + users + CLOUD + LOCK)).http
    assert [one.uids for one in http.users] == [{0}, {7}, set()]
    assert [one.gids for one in http.users] == [set(), set(), {0}]
    assert (http.over_tcp, http.socket) == (False, Path("/run/bleagent/http.sock"))


def test_a_user_that_somebody_deleted_shuts_no_door(tmp_path: Path) -> None:
    users = '[[http.users]]\nuser = "no-such-user"\n[[http.users]]\ngroup = "no-such-group"\n'
    config = load_config(written(tmp_path, HTTP + users + CLOUD + LOCK))
    with capture_logs() as logged:
        found = users_of(config)
    assert [one["user"] for one in logged] == ['user "no-such-user"', 'group "no-such-group"']
    assert found.principal(Peer(uid=1000, gids=frozenset({1000}))) is None


@pytest.mark.parametrize(
    ("more", "over_tcp", "socket"),
    [
        ("", False, "/var/lib/bleagent/http.sock"),
        ("tcp = false\n", False, "/var/lib/bleagent/http.sock"),
        ('tcp = false\nsocket = "/s"\n', False, "/s"),
        ('socket = "/s"\n', False, "/s"),
        ("tcp = true\n", True, None),
        ("port = 8580\n", True, None),
        ('host = "127.0.0.1"\n', True, None),
        ('tls = { certificate = "/c", key = { file = "/k" } }\n', True, None),
        ('port = 1\nsocket = "/s"\n', True, "/s"),
    ],
)
def test_it_is_a_unix_socket_unless_tcp_is_asked_for(
    tmp_path: Path, more: str, socket: str | None, *, over_tcp: bool
) -> None:
    config = load_config(written(tmp_path, HTTP + more + CLOUD + LOCK))
    assert config.http.over_tcp is over_tcp
    assert config.http_socket == (None if socket is None else Path(socket))


def test_a_state_directory_can_be_too_long_for_a_socket(tmp_path: Path) -> None:
    state = f'state_dir = "/{"x" * 100}"\n'
    said = complaint(tmp_path, state + HTTP + CLOUD + LOCK)
    assert "no [http] socket, and a state_dir too long for http.sock in it" in said
    load_config(written(tmp_path, state + HTTP + "port = 1\n" + CLOUD + LOCK))


def test_what_users_may_do_is_all_unless_it_is_said(tmp_path: Path) -> None:
    users = '[[http.users]]\nuid = 7\n[[http.users]]\nuid = 8\nscopes = ["read", "operate:*"]\n'
    http = load_config(written(tmp_path, HTTP + users + CLOUD + LOCK)).http
    assert [one.granted for one in http.users] == [EVERY_SCOPE, {"read", "operate:*"}]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gate.lan"])  # noqa: S104
def test_with_tls_others_may_be_listened_to(tmp_path: Path, host: str) -> None:
    more = f'host = "{host}"\ntls = {{ certificate = "/c", key = {{ file = "/k" }} }}\n'
    http = load_config(written(tmp_path, HTTP + more + CLOUD + LOCK)).http
    assert http.host == host
    assert http.tls is not None
    assert http.tls.certificate == Path("/c")


USER = HTTP + "[[http.users]]\n"
PATH_OF_SOCKET = "expected the absolute path of a Unix socket, of at most 100 bytes"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (HTTP + 'socket = "run/x"\n', f'http.socket: found "run/x", {PATH_OF_SOCKET}'),
        (HTTP + f'socket = "/{"x" * 100}"\n', PATH_OF_SOCKET),
        (HTTP + 'socket_group = "x"\n', "http: found socket_group without socket, expected both"),
        (HTTP + 'allowed_hosts = ["a:80"]\n', "expected an array of names or addresses"),
        (USER, "http.users[0]: found none of them, expected one of uid, user and group"),
        (USER + 'uid = 1\nuser = "root"\n', "found uid and user, expected one of"),
        (USER + "uid = -1\n", "http.users[0].uid: found -1, expected a uid"),
        (USER + "uid = 65534\n", "found uid of 65534, expected one that is not everybody's"),
        (USER + "uid = 1\nscopes = []\n", "the file: http.users[0]: scopes: found 0, expected 1"),
        (USER + 'uid = 1\nscopes = ["write"]\n', "http.users[0]: scope: found 'write', expected"),
        (USER + 'uid = 1\nscopes = ["operate:{x}"]\n', "scope: found 'operate:{x}', expected read"),
        (
            USER + 'uid = 1\n[[http.users]]\nuid = 2\nscopes = ["read", "operate:attic"]\n',
            "http.users[1]: scope: found 'operate:attic', expected one of the locks front-door",
        ),
        (HTTP + 'host = "gate.lan"\n', 'found host "gate.lan" without tls, expected a loopback'),
        (HTTP + 'host = "a b"\n', 'http.host: found "a b", expected an address such as 127.0.0.1'),
        (HTTP + 'tls = { certificate = "/c" }\n', "http.tls.key: found nothing, expected { cred"),
        (
            HTTP + 'tls = { certificate = "c", key = { file = "/k" } }\n',
            'http.tls.certificate: found "c", expected the absolute path of a PEM file',
        ),
        (
            HTTP + 'tls = { certificate = "/c", key = "-----BEGIN" }\n',
            "http.tls.key: found text, expected { credential",
        ),
        (
            HTTP + 'tcp = false\nsocket = "/x"\n'
            'tls = { certificate = "/c", key = { file = "/k" } }\n',
            "http: found tls without tcp, expected both",
        ),
    ],
)  # fmt: skip
def test_where_the_trigger_cannot_listen(tmp_path: Path, section: str, words: str) -> None:
    assert words in complaint(tmp_path, section + CLOUD + LOCK)


def test_a_lock_overrides_some_strategies_and_inherits_the_others(tmp_path: Path) -> None:
    shared = '[strategies]\nsn_start = "one"\noffline = "cached"\noffline_max_age = 60\n'
    own = '[locks.strategies]\noffline = "never"\nlock_via = "dp71"\n'
    second = LOCK.replace("front", "back").replace("vdevo1", "vdevo2").replace("0123", "9123")
    config = load_config(written(tmp_path, HTTP + CLOUD + shared + LOCK + own + second))
    front, back = (lock.strategies for lock in config.locks)
    assert (front.sn_start, front.offline, front.lock_via) == (
        SnStart.ONE,
        Offline.NEVER,
        LockVia.DP71,
    )
    assert (back.offline, back.offline_max_age, back.lock_via) == (
        Offline.CACHED,
        60.0,
        LockVia.DP46,
    )


def test_a_lock_is_operated_as_the_file_says(tmp_path: Path) -> None:
    plain = load_config(written(tmp_path, WHOLE)).locks[0]
    assert plain.policy() == Policy()
    text = (
        LOCK + 'protocol = "4.2"\nsecurity_v2 = true\nmember = 9\n'
        'sec_key = { credential = "sec-key" }\ndps = { open_checked = 101 }\n'
        'connection = "warm"\nlinger = 0\nwarm = 30\nadapter = "hci1"\n'
        'strategies = { sn_start = "one", offline = "cached", offline_max_age = 60 }\n'
    )
    odd = load_config(written(tmp_path, HTTP + CLOUD + text)).locks[0]
    assert odd.policy() == Policy(
        sn_start=SnStart.ONE,
        offline=Offline.CACHED,
        offline_max_age=60.0,
        major=4,
        security_v2=True,
        member=9,
        dps=Policy().dps.override({"open_checked": 101}),
        connection=Connection.WARM,
        linger=0.0,
        warm_for=30.0,
    )


def test_bluetooth_is_used_unless_a_virtual_lock_is_named(tmp_path: Path) -> None:
    radio = load_config(written(tmp_path, WHOLE)).radio
    assert (radio.socket, radio.adapters, radio.slots) == (None, None, 3)
    text = '[radio]\nadapters = ["hci1", "hci0"]\nslots = 5\n'
    radio = load_config(written(tmp_path, HTTP + CLOUD + text + LOCK)).radio
    assert (radio.adapters, radio.slots) == (("hci1", "hci0"), 5)
    assert radio.scan == "active"
    passive = load_config(
        written(tmp_path, WHOLE.replace("[[locks]]", '[radio]\nscan = "passive"\n[[locks]]', 1))
    )
    assert passive.radio.scan == "passive"


def held(number: int, *more: str) -> str:
    """Another lock with a held connection."""
    lock = LOCK.replace("front", f"held-{number}").replace("vdevo1", f"vdevo9{number}")
    return "\n".join((lock.replace("0123", f"9{number}23") + 'connection = "held"', *more, ""))


def test_held_connections_leave_a_slot_for_the_other_locks(tmp_path: Path) -> None:
    two, one = '[radio]\nadapters = ["hci0"]\nslots = 2\n', "[radio]\nslots = 1\n"
    expected = "expected a slot for each, and one more for the locks that are not held"
    load_config(written(tmp_path, HTTP + CLOUD + two + held(1) + held(2)))
    load_config(written(tmp_path, HTTP + CLOUD + two + LOCK + held(1)))
    load_config(written(tmp_path, HTTP + CLOUD + one + LOCK + held(1, 'adapter = "hci1"')))
    assert complaint(tmp_path, HTTP + CLOUD + two + LOCK + held(1) + held(2)) == (
        f"the file: found 2 held connections with 2 slots, {expected}"
    )
    pinned = held(1, 'adapter = "hci1"') + held(2, 'adapter = "hci1"')
    assert complaint(tmp_path, HTTP + CLOUD + one + pinned) == (
        f"the file: found 2 held connections with 1 slots, {expected}"
    )


def test_the_cloud_client_is_set_as_the_file_says(tmp_path: Path) -> None:
    more = (
        'app_schema = "mine"\nuid = "user"\naction_url = "http://127.0.0.1:9/a"\nwx_app_id = "'
        + "0f" * 16
        + '"\n'
    )
    more += 'panel_url = "http://127.0.0.1:9/p"\n'
    config = load_config(written(tmp_path, HTTP + CLOUD + more + LOCK))
    assert cloud_settings(config, Secret("s")) == CloudSettings(
        base_url="https://cloud.example/faas",
        client_id="client",
        secret=Secret("s"),
        action_url="http://127.0.0.1:9/a",
        panel_url="http://127.0.0.1:9/p",
        uid="user",
        app_schema="mine",
        wx_app_id="0f" * 16,
    )


def test_a_lock_can_move_datapoints(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, WHOLE + "[locks.dps]\nopen_checked = 101\n"))
    assert config.locks[0].dpmap().number(DpName.OPEN_CHECKED) == 101


SOURCE = '{ credential = "NAME" } or { file = "PATH" }'
LITERAL = (
    " (a secret does not stand in this file: put it into a systemd credential or a file of mode "
    "0600, and change it if others could read it here)"
)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "[http]",
            "port = 1\n[http]",
            (
                "port: found an unknown key, expected one of state_dir, "
                "http, cloud, radio, vault, strategies, records, sinks, webhooks, locks"
            ),
        ),
        (
            "[http]",
            '[http]\ntokn = "canary"',
            (
                "http.tokn: found an unknown key, expected one of tcp, host, port, socket, "
                "socket_group, allowed_hosts, tls, users, token"
            ),
        ),
        (
            "[http]",
            '[http]\nport = "8580"',
            ('http.port: found "8580", expected a port from 0 (any free one) to 65535'),
        ),
        (
            "[http]",
            "[http]\nport = 65536",
            ("http.port: found 65536, expected a port from 0 (any free one) to 65535"),
        ),
        (
            "[http]",
            "[http]\nport = true",
            ("http.port: found true, expected a port from 0 (any free one) to 65535"),
        ),
        (
            "[http]",
            '[http]\nhost = "0.0.0.0"',
            (
                'http: found host "0.0.0.0" without tls, expected a loopback address, or tls too: '
                "others on the network would read the token"
            ),
        ),
        (HTTP, "", "http: found nothing, expected a section [http]"),
        (HTTP, 'http = "x"\n', 'http: found "x", expected a section [http]'),
        (HTTP, "[http]\n", f"http.token: found nothing, expected {SOURCE}"),
        (
            '{ credential = "http-token" }',
            '"canary"',
            f"http.token: found text, expected {SOURCE}{LITERAL}",
        ),
        (
            '{ credential = "http-token" }',
            "12345",
            f"http.token: found a value, expected {SOURCE}{LITERAL}",
        ),
        (
            '{ credential = "http-token" }',
            '["canary"]',
            f"http.token: found an array of 1, expected {SOURCE}{LITERAL}",
        ),
        (
            '"http-token"',
            '"canary secret!"',
            (
                "http.token.credential: found text, expected the name "
                "of a systemd credential (letters, digits, and . _ -)"
            ),
        ),
        (
            '"http-token"',
            '"../canary"',
            (
                "http.token.credential: found text, expected the name "
                "of a systemd credential (letters, digits, and . _ -)"
            ),
        ),
        (
            'credential = "http-token"',
            'file = "canary"',
            ("http.token.file: found text, expected the absolute path of a file"),
        ),
        (
            'credential = "http-token"',
            'value = "canary"',
            ("http.token.value: found an unknown key, expected one of credential, file"),
        ),
        (
            'credential = "http-token"',
            "",
            ("http.token: found neither, expected either credential or file"),
        ),
        (
            '"http-token"',
            '"http-token", file = "/x"',
            ("http.token: found both, expected either credential or file"),
        ),
        (
            "https://cloud",
            "http://cloud",
            (
                'cloud.base_url: found "http://cloud.example/faas", '
                "expected an https:// address (http:// on loopback only) without query or user"
            ),
        ),
        (
            "https://cloud",
            "https://user:canary@cloud",
            (
                'cloud.base_url: found "https://***@cloud.example/faas", '
                "expected an https:// address (http:// on loopback only) without query or user"
            ),
        ),
        (
            "[[locks]]",
            "[[locks]]\nsecurity_v2 = true",
            "locks[0]: found security_v2 without sec_key, expected both",
        ),
        (
            "https://cloud",
            "ftp://cloud",
            (
                'cloud.base_url: found "ftp://cloud.example/faas", '
                "expected an https:// address (http:// on loopback only) without query or user"
            ),
        ),
        (
            "[cloud]",
            '[cloud]\nsigner = "md5"',
            ('cloud.signer: found "md5", expected none, faas or openapi'),
        ),
        (
            "[cloud]",
            '[cloud]\ntransport = "openapi"',
            (
                "cloud: found transport openapi with signer "
                'faas, expected signer = "openapi" with it'
            ),
        ),
        (
            'client_id = "client"\n',
            "",
            ("cloud: found signer faas without client_id, expected both client_id and secret"),
        ),
        (
            'secret = { credential = "cloud-secret" }',
            'secret = "canary"',
            f"cloud.secret: found text, expected {SOURCE}{LITERAL}",
        ),
        (
            "front-door",
            "Front Door",
            ('locks[0].name: found "Front Door", expected 1 to 32 of a-z, 0-9 and -'),
        ),
        (
            "0123456789abcdef",
            "0123",
            ('locks[0].uuid: found "0123", expected 16 or 20 letters and digits'),
        ),
        (
            "[[locks]]",
            '[[locks]]\naddress = "dc-23"',
            ('locks[0].address: found "dc-23", expected an address such as AA:BB:CC:DD:EE:FF'),
        ),
        (
            "[[locks]]",
            '[[locks]]\nprotocol = "v3"',
            ('locks[0].protocol: found "v3", expected a protocol version such as 3.3'),
        ),
        (
            'local_key = { credential = "local-key" }',
            'local_key = "canary"',
            f"locks[0].local_key: found text, expected {SOURCE}{LITERAL}",
        ),
        (
            'local_key = { credential = "local-key" }',
            "",
            f"locks[0].local_key: found nothing, expected {SOURCE}",
        ),
        (
            "[[locks]]",
            '[[locks]]\nsec_key = "canary"',
            f"locks[0].sec_key: found text, expected {SOURCE}{LITERAL}",
        ),
        (
            "[[locks]]",
            "[[locks]]\ndps = { open_chekked = 71 }",
            (
                "locks[0]: found in dps: "
                "'open_chekked' is not the name of a datapoint, expected names and free numbers of "
                "datapoints"
            ),
        ),
        (
            "[[locks]]",
            "[[locks]]\ndps = { open_checked = 300 }",
            (
                "locks[0]: found in dps: "
                "open_checked: 300 is not a datapoint number (1-255), expected names and free "
                "numbers of datapoints"
            ),
        ),
        (
            "[[locks]]",
            '[[locks]]\ndps = { open_checked = "71" }',
            (
                "locks[0].dps.open_checked: "
                'found "71", expected names of datapoints and numbers from 1 to 255'
            ),
        ),
        (
            "[[locks]]",
            '[[locks]]\nstrategies = { offline = "always" }',
            'locks[0].strategies.offline: found "always", expected never or cached',
        ),
        (
            "[[locks]]",
            "[[locks]]\nstrategies = { offline_max_age = 0 }",
            "locks[0].strategies.offline_max_age: found 0, expected seconds, more than 0",
        ),
        (
            "[[locks]]",
            "[[locks]]\nstrategies = { offline_max_age = inf }",
            "locks[0].strategies.offline_max_age: found Infinity, expected seconds, more than 0",
        ),
        (
            "[[locks]]",
            '[radio]\nadapters = ["hci0", "usb1"]\n[[locks]]',
            'radio.adapters[1]: found "usb1", expected different adapters such as ["hci0"]',
        ),
        (
            "[[locks]]",
            '[radio]\nadapters = ["hci0", "hci0"]\n[[locks]]',
            'radio.adapters: found an array of 2, expected different adapters such as ["hci0"]',
        ),
        (
            "[[locks]]",
            "[radio]\nadapters = []\n[[locks]]",
            'radio.adapters: found an array of 0, expected different adapters such as ["hci0"]',
        ),
        (
            "[[locks]]",
            "[radio]\nslots = 0\n[[locks]]",
            "radio.slots: found 0, expected connections per adapter at one time, from 1 to 10",
        ),
        (
            "[[locks]]",
            '[radio]\nadapters = ["hci0"]\nsocket = "127.0.0.1:1"\n[[locks]]',
            ("radio: found both socket and adapters, expected either a virtual lock or Bluetooth"),
        ),
        (
            "[[locks]]",
            '[radio]\nadapters = ["hci0"]\n[[locks]]\nadapter = "hci1"',
            ("the file: found a lock with adapter hci1, expected one of radio.adapters: hci0"),
        ),
        (
            "[[locks]]",
            '[[locks]]\nadapter = "USB"',
            'locks[0].adapter: found "USB", expected the only adapter for it, such as hci0',
        ),
        (
            "[[locks]]",
            '[[locks]]\nconnection = "always"',
            'locks[0].connection: found "always", expected on_demand, warm or held',
        ),
        (
            "[[locks]]",
            "[[locks]]\nlinger = 101",
            "locks[0].linger: found 101, expected seconds from 0 to 100",
        ),
        (
            "[[locks]]",
            "[[locks]]\nwarm = 0",
            "locks[0].warm: found 0, expected seconds, more than 0, up to 3600",
        ),
        (
            "[[locks]]",
            '[strategies]\nlock_via = "dp1"\n[[locks]]',
            'strategies.lock_via: found "dp1", expected dp46 or dp71',
        ),
        (
            "[[locks]]",
            '[strategies]\nsharing = "any"\n[[locks]]',
            'strategies.sharing: found "any", expected named or only_lock',
        ),
        (
            LOCK,
            '[strategies]\nsharing = "only_lock"\n'
            + LOCK
            + LOCK.replace("front", "back").replace("vdevo1", "vdevo2").replace("0123", "9123"),
            'the file: found sharing = "only_lock" with more than one lock, expected "named"',
        ),
        (
            "[[locks]]",
            '[strategies]\nofline = "cached"\n[[locks]]',
            (
                "strategies.ofline: found an "
                "unknown key, expected one of device_random, code_source, sn_start, "
                "instruction_air, lock_via, offline, offline_max_age, sharing, passwords, upkeep"
            ),
        ),
        (
            "[[locks]]",
            "[locks]",
            ("locks: found a table, expected a section [[locks]] for each lock"),
        ),
        (LOCK, "", "locks: found nothing, expected a section [[locks]] for each lock"),
        (
            WHOLE,
            "locks = []\n" + HTTP + CLOUD,
            ("locks: found an array of 0, expected a section [[locks]] for each lock"),
        ),
        (
            LOCK,
            LOCK + LOCK.replace("vdevo1", "vdevo2").replace("0123", "9123"),
            ('the file: found two locks with name "front-door", expected different ones'),
        ),
        (
            LOCK,
            LOCK + LOCK.replace("front", "back").replace("0123", "9123"),
            (
                "the file: found "
                'two locks with device_id "vdevo16036791579", expected different ones'
            ),
        ),
        (
            "[http]",
            'state_dir = "state"\n[http]',
            ('state_dir: found "state", expected the absolute path of a directory'),
        ),
        (
            "[http]",
            "state_dir = 2026-11-22\n[http]",
            ('state_dir: found "2026-11-22", expected the absolute path of a directory'),
        ),
    ],
)
def test_what_is_wrong_is_said_exactly_and_no_secret_is_shown(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in WHOLE
    found = complaint(tmp_path, WHOLE.replace(old, new, 1))
    assert found == said
    assert "canary" not in found


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = WHOLE.replace("[http]", "[http]\nport = -1").replace("front-door", "F")
    assert [line.split(":")[0] for line in complaint(tmp_path, text).splitlines()] == [
        "http.port",
        "locks[0].name",
    ]


def test_an_error_has_no_chain_that_could_show_a_secret(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE.replace('{ credential = "local-key" }', '"canary"'))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_what_is_no_toml_is_said_with_its_line(tmp_path: Path) -> None:
    assert complaint(tmp_path, "[http]\nport =\n").startswith("not TOML: Invalid value (at line 2")
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# T\xfcr\n")
    with pytest.raises(ConfigError, match="not UTF-8, expected TOML") as latin:
        load_config(path)
    with pytest.raises(ConfigError, match="there is no such file") as gone:
        load_config(tmp_path / "gone.toml")
    # No key was named.
    assert "named key" not in latin.value.advice + gone.value.advice
    assert "sudo bleagent init" in gone.value.advice


def test_a_misspelt_key_is_told_before_what_is_missing_because_of_it(tmp_path: Path) -> None:
    said = complaint(tmp_path, WHOLE.replace("device_id", "devcie_id")).splitlines()
    assert [line.split(":")[0] for line in said] == ["locks[0].devcie_id", "locks[0].device_id"]


# -- secrets


def credentials(folder: Path, **changes: bytes) -> Path:
    values = {
        "http-token": b"bearer-0123456789\n",
        "cloud-secret": b"4OHBOnWOqaEC1mWXOpVL3yV50s0qGSRC",
        "local-key": b"0123456789abcdef\n",
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    place = folder / "credentials"
    place.mkdir()
    for name, value in values.items():
        (place / name).write_bytes(value)
        (place / name).chmod(0o400)
    return place


def test_secrets_are_read_from_credentials_and_files(tmp_path: Path) -> None:
    key = tmp_path / "sec.key"
    key.write_bytes(b"fedcba9876543210")
    key.chmod(0o600)
    config = load_config(written(tmp_path, f'{WHOLE}sec_key = {{ file = "{key}" }}\n'))
    secrets = load_secrets(config, credentials(tmp_path))
    assert secrets.http_token == Secret("bearer-0123456789")
    assert secrets.cloud_secret == Secret("4OHBOnWOqaEC1mWXOpVL3yV50s0qGSRC")
    facts = secrets.locks["front-door"]
    assert facts.keys.local_key == Secret("0123456789abcdef")
    assert facts.keys.sec_key == Secret("fedcba9876543210")
    assert (facts.keys.uuid, facts.keys.virtual_id) == ("0123456789abcdef", "vdevo16036791579")
    assert "0123456789abcdef" not in repr(secrets)


@pytest.mark.parametrize(
    "token", [b"\n", b"guessable-12345\n", b"two words of a token", b"gel\xc3\xa4ufiges-Zeichen"]
)
def test_a_token_that_could_be_guessed_or_not_be_sent_is_refused(
    tmp_path: Path, token: bytes
) -> None:
    config = load_config(written(tmp_path, WHOLE))
    with pytest.raises(SecretError, match=r"http\.token: expected at least 16") as caught:
        load_secrets(config, credentials(tmp_path, http_token=token))
    assert token.decode() not in str(caught.value)


def test_a_key_of_another_length_is_refused_by_name_and_not_shown(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, WHOLE))
    with pytest.raises(SecretError) as caught:
        load_secrets(config, credentials(tmp_path, local_key=b"canary"))
    assert str(caught.value) == (
        "credential local-key: found 6 characters, expected the 16 of the local_key of front-door"
    )


@pytest.mark.parametrize(
    ("gone", "wanted_by"),
    [
        ("http-token", "http.token"),
        ("cloud-secret", "cloud.secret"),
        ("local-key", "local_key of front-door"),
    ],
)
def test_a_secret_that_is_not_there_is_told_with_the_key_that_wants_it(
    tmp_path: Path, gone: str, wanted_by: str
) -> None:
    config = load_config(written(tmp_path, WHOLE))
    place = credentials(tmp_path)
    (place / gone).unlink()
    with pytest.raises(SecretError, match=f"^{wanted_by}: .*{gone}"):
        load_secrets(config, place)


def test_the_vault_key_is_made_on_first_use_unless_that_is_forbidden(tmp_path: Path) -> None:
    place = f'state_dir = "{tmp_path}"\n'
    forbidden = load_config(written(tmp_path, place + WHOLE + "[vault]\ncreate = false\n"))
    with pytest.raises(SecretError, match=r"vault\.key cannot be read"):
        load_vault_key(forbidden, None)
    config = load_config(written(tmp_path, place + WHOLE))
    made = load_vault_key(config, None)
    assert len(made) == 32
    assert load_vault_key(config, None) == load_vault_key(forbidden, None) == made


def test_the_vault_key_can_be_a_credential_of_the_right_length(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, WHOLE + '[vault]\nkey = { credential = "vault-key" }\n'))
    place = credentials(tmp_path, vault_key=b"k" * 32)
    assert load_vault_key(config, place) == Secret(b"k" * 32)
    (place / "vault-key").chmod(0o600)
    (place / "vault-key").write_bytes(b"k" * 31)
    with pytest.raises(SecretError, match="credential vault-key has 31 bytes, not 32"):
        load_vault_key(config, place)


def test_a_previous_vault_key_that_is_wrong_is_named_before_a_new_one_is_made(
    tmp_path: Path,
) -> None:
    state, old = tmp_path / "state", tmp_path / "old.key"
    state.mkdir()
    text = f'state_dir = "{state}"\n{WHOLE}[vault]\nprevious = [{{ file = "{old}" }}]\n'
    config = load_config(written(tmp_path, text))
    with pytest.raises(SecretError, match=r"old\.key cannot be read: No such file"):
        load_vault_keys(config, None, new_nonce=bytes)
    old.touch(0o600)
    old.write_bytes(b"o" * 31)
    with pytest.raises(SecretError, match=r"old\.key has 31 bytes, not 32"):
        load_vault_keys(config, None, new_nonce=bytes)
    assert list(state.iterdir()) == []
    old.write_bytes(b"o" * 32)
    found = load_vault_keys(config, None, new_nonce=bytes)
    assert found.current.place == str(state / "vault.key")
    assert [(one.place, one.key) for one in found.previous] == [(str(old), Secret(b"o" * 32))]
