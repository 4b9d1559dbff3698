"""Temporary passwords through the real daemon, which dies by SIGKILL around each of its commits.

The virtual cloud's password opens at the virtual lock's keypad, once there; a deleted one does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from bleagent.simulator.cloud_passwords import CloudPassword, Phase
from bleagent.simulator.lock_app.lock_application import LockApplication
from protocol import Secret
from protocol.credentials import Method
from tests.system.daemon import KEYS, Site, unlock_when_rested
from tests.system.telling_door import until

pytestmark = pytest.mark.anyio

PIN = "735192"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class PasswordSite(Site):
    """Its lock's passwords are brought, with the digits that a panel relay tells."""

    def configure(self, base_url: str, radio: str) -> None:
        super().configure(base_url, radio)
        known = self.config.read_text()
        self.config.write_text(
            known.replace("[cloud]\n", f'[cloud]\npanel_url = "{base_url}/panel"\n')
        )

    @classmethod
    def at(cls, folder: Path, *, kept_up: bool = False) -> PasswordSite:
        more = 'upkeep = "keep"\n[[sinks]]\ntype = "openapi"\n' if kept_up else ""
        return cls(folder, more={"": f'[strategies]\npasswords = "deliver"\n{more}'})

    def create(self) -> int:
        now, made = int(time.time()), len(self.cloud.passwords.passwords) + 1
        self.cloud.passwords.passwords[made] = CloudPassword(
            password_id=made, device_id=KEYS.virtual_id, pin=Secret(PIN),
            effective_time=now - 60, invalid_time=now + 3600,
        )  # fmt: skip
        return made

    def delete(self, password_id: int) -> None:
        asked = {"device_id": KEYS.virtual_id, "password_id": str(password_id)}
        self.cloud.passwords._delete(asked)

    def phase(self, password_id: int) -> Phase:
        return self.cloud.passwords.passwords[password_id].phase

    @property
    def t0(self) -> int | None:
        app = self.lock.app
        assert isinstance(app, LockApplication)
        return app.flash.t0

    def at_lock(self) -> list[str]:
        app = self.lock.app
        assert isinstance(app, LockApplication)
        found = app.flash.credentials.values()
        temporary = [one for one in found if one.method == Method.TEMPORARY_PASSWORD]
        return ["".join(map(str, one.digits)) for one in temporary]


async def told(
    client: httpx.AsyncClient, right: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    with anyio.fail_after(40):
        while True:
            (lock,) = (await client.get("/v1/locks")).json()["locks"]
            if right(lock["sync"]):
                return dict(lock["sync"])
            await anyio.sleep(0.1)


async def test_a_password_reaches_the_lock_and_leaves_it(tmp_path: Path) -> None:
    site = PasswordSite.at(tmp_path, kept_up=True)
    made = site.create()
    paired = site.cloud.actions.locks[KEYS.virtual_id].active_time
    async with site.up():
        async with site.daemon() as (client, _):
            await until(lambda: site.at_lock() == [PIN])
            await until(lambda: site.t0 == paired)
            await until(lambda: "synch_method" in [one.code for one in site.cloud.records.stored])
            (lock,) = (await client.get("/v1/locks")).json()["locks"]
            assert lock["upkeep"]["t0"]["progress"] == "done"
            assert str(paired) not in str(lock)
            sync = await told(client, lambda sync: sync["passwords"]["confirmed"] == 1)
            assert sync["last_error"] is None
            assert PIN not in (await client.get("/v1/locks")).text
            assert (await unlock_when_rested(client, "one")).json()["outcome"] == "confirmed"
            await until(lambda: site.phase(made) is Phase.SENT)  # by the lock's word alone
        site.delete(made)
        async with site.daemon() as (client, _):
            await until(lambda: site.at_lock() == [])
            await told(client, lambda sync: sync["passwords"]["gone"] == 1)
            await until(lambda: site.phase(made) is Phase.DELETED)
            titles = [one["title"] for one in (await client.get("/v1/records")).json()["records"]]
            assert "temporary password 40 deleted" in titles
    written = [site.log.read_bytes()]
    written += [one.read_bytes() for one in (tmp_path / "state").iterdir() if one.is_file()]
    assert not [one for one in written if PIN.encode() in one or bytes(map(int, PIN)) in one]
    assert not [one for one in written if str(paired).encode() in one]


@pytest.mark.parametrize(
    "point", ["before keep#2", "after keep#2", "before keep#3", "after keep#3"]
)
async def test_whatever_kills_it_the_lock_has_it_once(point: str, tmp_path: Path) -> None:
    # The first is why it waits, the second that it is asked for, the third what the lock said.
    site = PasswordSite.at(tmp_path)
    site.create()
    async with site.up():
        async with site.daemon(dies=point) as (_, process):
            with anyio.fail_after(40):
                assert await process.wait() == -9
        assert len(site.at_lock()) == ("keep#3" in point)
        async with site.daemon() as (client, _):
            await told(client, lambda sync: sync["passwords"]["confirmed"] == 1)
            assert site.at_lock() == [PIN]
