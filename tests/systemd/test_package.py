"""What is in the Debian package that `make deb` built, and what is not.

It is the newest in build/, or the one that BLEAGENT_DEB names.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pytest

from bleagent import __version__
from tests.often import LONG

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build"
VENV = "opt/bleagent"
UNCHECKED = b"\x01\0\0\0"
"""The flags of a .pyc that is used whatever its source looks like."""
INSTALLED = {
    "usr/lib/systemd/system/bleagent.service": "systemd/bleagent.service",
    "usr/lib/systemd/system/bleagent.socket": "systemd/bleagent.socket",
    "usr/lib/systemd/system/bluetooth.service.d/bleagent.conf": "systemd/bluetooth-restart.conf",
    "usr/lib/sysusers.d/bleagent.conf": "systemd/bleagent.sysusers",
    "usr/lib/tmpfiles.d/bleagent.conf": "systemd/bleagent.tmpfiles",
    "usr/share/dbus-1/system.d/bleagent.conf": "systemd/bleagent-bluetooth.conf",
    "usr/share/doc/bleagent/copyright": "LICENSE",
    "usr/share/doc/bleagent/README.md": "README.md",
    "usr/share/doc/bleagent/examples/config.example.toml": "systemd/config.example.toml",
    "usr/share/doc/bleagent/examples/credentials.conf": "systemd/credentials.conf",
    "usr/share/doc/bleagent/examples/bluetooth-main.conf": "systemd/bluetooth-main.conf",
    **{
        f"usr/share/doc/bleagent/docs/{one.name}": f"docs/{one.name}"
        for one in (ROOT / "docs").iterdir()
    },
}


def say(*command: str | Path) -> bytes:
    return subprocess.run(  # noqa: S603 - commands of ours
        command, check=True, capture_output=True, timeout=600
    ).stdout


@dataclass
class Package:
    """``files`` are the regular ones, by path without a leading slash."""

    path: Path
    control: dict[str, str]
    members: list[tarfile.TarInfo] = field(repr=False)
    files: dict[str, bytes] = field(repr=False)
    scripts: dict[str, bytes] = field(repr=False)

    @property
    def python(self) -> str:
        """Which it runs on: 3.11."""
        (found,) = {
            match[1]
            for one in self.files
            if (match := re.match(rf"{VENV}/lib/python(3\.\d+)/", one))
        }
        return found

    @property
    def site(self) -> str:
        return f"{VENV}/lib/python{self.python}/site-packages/"

    @property
    def distributions(self) -> dict[str, str]:
        found = (re.search(r"([^/]+)-([^-/]+)\.dist-info/METADATA$", one) for one in self.files)
        return {named(match[1]): match[2] for match in found if match is not None}


def named(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def read(path: Path) -> Package:
    def unpacked(option: str) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
        with tarfile.open(fileobj=BytesIO(say("dpkg-deb", option, path))) as tar:
            for one in tar:
                one.name = one.name.removeprefix("./")
                file = tar.extractfile(one) if one.isreg() else None
                yield one, None if file is None else file.read()

    fields = say("dpkg-deb", "--field", path).decode()
    members = list(unpacked("--fsys-tarfile"))
    return Package(
        path=path,
        control=dict(re.findall(r"(?m)^([A-Z][A-Za-z-]+): (.*)$", fields)),
        members=[one for one, _ in members],
        files={one.name: content for one, content in members if content is not None},
        scripts={
            one.name: content
            for one, content in unpacked("--ctrl-tarfile")
            if content is not None
        },
    )  # fmt: skip


def cannot(why: str) -> None:
    if os.environ.get("BLEAGENT_NEEDS_DEB"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def package() -> Package:
    if shutil.which("dpkg-deb") is None:
        cannot("no dpkg-deb: this is not Debian")
    built = sorted(
        FOLDER.glob(f"bleagent_{__version__}_*.deb"), key=lambda one: one.stat().st_mtime
    )
    given = os.environ.get("BLEAGENT_DEB")
    if not (given or built):
        cannot("no package in build/: run `make deb`")
    found = read(Path(given) if given else built[-1])
    ours = {
        f"{found.site}{one.relative_to(ROOT)}": one.read_bytes()
        for folder in ("protocol", "bleagent")
        for one in (ROOT / folder).rglob("*.py")
    }
    if any(found.files.get(one) != content for one, content in ours.items()):
        cannot("the package is not of these sources: run `make deb`")
    return found


def test_what_is_installed_is_the_venv_and_the_files_of_this_repository(package: Package) -> None:
    beside = {one: text for one, text in package.files.items() if not one.startswith(f"{VENV}/")}
    assert beside == {one: (ROOT / source).read_bytes() for one, source in INSTALLED.items()}
    links = {one.name: one.linkname for one in package.members if one.issym()}
    assert links == {
        "usr/bin/bleagent": "/opt/bleagent/bin/bleagent",
        f"{VENV}/bin/python": f"/usr/bin/python{package.python}",
    }


def test_everything_is_roots_and_only_the_command_can_be_run(package: Package) -> None:
    assert {(one.uid, one.gid, one.uname, one.gname) for one in package.members} == {
        (0, 0, "root", "root")
    }
    kinds = {(one.type, one.mode) for one in package.members if not one.issym()}
    assert kinds == {(tarfile.DIRTYPE, 0o755), (tarfile.REGTYPE, 0o644), (tarfile.REGTYPE, 0o755)}
    assert [one.name for one in package.members if one.isreg() and one.mode == 0o755] == [
        f"{VENV}/bin/bleagent"
    ]


def test_the_control_file_says_what_it_is_and_runs_on(package: Package) -> None:
    control, minor = package.control, int(package.python.partition(".")[2])
    assert (control["Package"], control["Version"]) == ("bleagent", __version__)
    # Of compiled libraries there are only those of one architecture.
    assert control["Architecture"] == say("dpkg", "--print-architecture").decode().strip()
    assert control["Depends"].split(", ")[:2] == [
        f"python3 (>= 3.{minor})", f"python3 (<< 3.{minor + 1})",
    ]  # fmt: skip
    assert {"curl", "openssl"} <= set(control["Recommends"].split(", "))  # in what init prints
    assert re.search(r"libc6 \(>= 2\.\d+\)", control["Depends"])
    size = sum((len(one) + 1023) // 1024 for one in package.files.values())
    assert size <= int(control["Installed-Size"]) <= size + len(package.members)
    assert not [value for value in control.values() if "@" in value]
    assert set(package.scripts) == {"control", "md5sums", "postinst", "postrm", "prerm"}


def test_the_sums_are_those_of_the_files(package: Package) -> None:
    said = dict(line.split("  ")[::-1] for line in package.scripts["md5sums"].decode().splitlines())
    assert said == {one: hashlib.md5(text).hexdigest() for one, text in package.files.items()}


def test_the_libraries_are_the_locked_ones_and_none_for_tests(package: Package) -> None:
    locked = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text()))
    there = dict(package.distributions)
    assert there.pop("bleagent") == __version__
    assert there.items() <= {named(one): version for one, version in locked.items()}.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def wanted(requirements: list[str]) -> set[str]:
        return {named(re.match(r"[\w.-]+", one)[0]) for one in requirements}  # type: ignore[index]

    extras = project["optional-dependencies"]
    core = wanted(project["dependencies"] + extras["mqtt"])
    assert core <= there.keys()
    others = set.union(*(wanted(extras[one]) for one in extras if one != "mqtt"))
    assert not (others - core | {"pip", "setuptools"}) & there.keys()


def test_the_venv_is_that_of_its_place(package: Package) -> None:
    command = package.files[f"{VENV}/bin/bleagent"].decode()
    assert command.startswith("#!/opt/bleagent/bin/python -I\n")
    assert [one.name for one in package.members if one.name.startswith(f"{VENV}/bin/")] == [
        f"{VENV}/bin/bleagent", f"{VENV}/bin/python",
    ]  # fmt: skip
    assert b"home = /usr/bin\n" in package.files[f"{VENV}/pyvenv.cfg"]
    here = str(ROOT).encode()
    # A checkout near the root of the file system would have too common a name to look for.
    if len(ROOT.parts) > 2:
        assert [one for one, content in package.files.items() if here in content] == []


def test_it_starts_without_compiling_and_without_asking_for_dates(package: Package) -> None:
    tag = f"cpython-{package.python.replace('.', '')}"
    missing, checked = [], []
    for one in package.files:
        if not one.endswith(".py"):
            continue
        folder, _, name = one.rpartition("/")
        compiled = package.files.get(f"{folder}/__pycache__/{name[:-3]}.{tag}.pyc")
        if compiled is None:
            missing.append(one)
        elif compiled[4:8] != UNCHECKED or f"/{one}".encode() not in compiled:
            checked.append(one)
    assert (missing, checked) == ([], [])


@pytest.mark.parametrize("name", ["postinst", "prerm", "postrm"])
def test_the_scripts_are_those_of_this_repository_and_of_a_plain_shell(
    package: Package, name: str
) -> None:
    script = ROOT / "systemd/debian" / name
    assert package.scripts[name] == script.read_bytes()
    assert package.scripts[name].startswith(b"#!/bin/sh\n")
    say("sh", "-n", script)


@pytest.mark.skipif(not LONG, reason="builds two packages: BLEAGENT_LONG=1")
def test_two_builds_in_two_places_are_the_same_to_the_byte(tmp_path: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        cannot("no dpkg-deb: this is not Debian")
    built = []
    for place in ("one", "another"):
        clone = tmp_path / place / "clone"
        shutil.copytree(
            ROOT, clone, symlinks=True,
            ignore=shutil.ignore_patterns(".venv*", "build", ".*_cache", ".hypothesis"),
        )  # fmt: skip
        said = say(clone / "systemd/debian/build.sh", tmp_path / place)
        built.append(Path(said.decode().split()[-1]).read_bytes())
    assert built[0] == built[1]
