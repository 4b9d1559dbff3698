"""One machine for the whole run: it boots once and has the package on it.

    make test-systemd

makes root and package and runs these; without them they are skipped, and say why.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.booted.gateway import Gateway, gateway_with
from tests.systemd.booted.machine import Machine, MachineError, lacking
from tests.systemd.booted.package import older

ROOT, PACKAGE = "BLEAGENT_SYSTEMD_ROOT", "BLEAGENT_DEB"


def _cannot(why: str) -> None:
    if os.environ.get("BLEAGENT_NEEDS_NSPAWN"):
        pytest.fail(why)
    pytest.skip(why)


def _given(name: str) -> Path:
    value = os.environ.get(name)
    if not value:
        _cannot(f"{name} names nothing: run `make test-systemd`")
    return Path(str(value)).resolve()


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Booted, and nothing of ours on it."""
    if (why := lacking()) is not None:
        _cannot(why)
    root = _given(ROOT)
    found = Machine(root, tmp_path_factory.mktemp("console") / "console")
    try:
        try:
            found.boot()
        except MachineError as error:
            _cannot(f"no systemd boots in a container here: {error}")
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="session")
def package() -> Path:
    """As `make deb` builds it."""
    return _given(PACKAGE)


@pytest.fixture(scope="session")
def gateway(
    machine: Machine, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """With the version before this one, which is brought up to date later."""
    before = older(package, tmp_path_factory.mktemp("package"))
    with gateway_with(machine, tmp_path_factory.mktemp("site"), before) as found:
        yield found
