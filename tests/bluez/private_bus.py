"""A dbus-daemon of our own in the place of the system's."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CONFIGURATION = """\
<busconfig>
  <type>session</type>
  <listen>unix:dir={folder}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


def dbus_daemon() -> str | None:
    """Where the program is, if this machine has it (Debian: package ``dbus-daemon``)."""
    return shutil.which("dbus-daemon")


@contextmanager
def private_bus(folder: Path) -> Iterator[str]:
    """Run one; gives its address, for ``DBUS_SYSTEM_BUS_ADDRESS``."""
    program = dbus_daemon()
    assert program is not None, "needs dbus-daemon"
    configuration = folder / "bus.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder))
    command = [program, f"--config-file={configuration}", "--print-address", "--nofork"]
    with subprocess.Popen(  # noqa: S603 - ours
        [*command, "--nopidfile"], stdout=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stdout is not None
        try:
            yield daemon.stdout.readline().strip()
        finally:
            daemon.terminate()
            daemon.wait()
