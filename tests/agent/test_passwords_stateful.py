"""Passwords through cloud, agent and lock: whatever ends the agent or the link, none is lost.

What the lock says of them reaches the cloud now or later, and moves them on there. At rest each
password that the cloud holds opens at the lock in its time and no other one does, and what the
owner's phone put there is as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from bleagent.simulator.cloud_passwords import Phase
from bleagent.simulator.faults import NO_FAULTS, Faults, NotifyFault, WriteFault
from bleagent.simulator.lock_app.flash import Credential
from bleagent.sync.passwords import State
from protocol.credentials import Method, Validity
from tests.agent.password_world import DAY, HOUR, Passwords
from tests.agent.world import DOOR, World, rehearse

PHONES = "999999"
_HELD = (Phase.TO_BE_SENT, Phase.SENT)
MOST = 8
_WRITES = st.sampled_from([WriteFault.DROP_BEFORE, WriteFault.DROP_AFTER, WriteFault.LOSE])
_NOTIFIED = st.sampled_from([NotifyFault.DROP_BEFORE, NotifyFault.LOSE])
_FAULTS = st.one_of(
    st.builds(lambda at, fault: Faults(writes={at: fault}), st.integers(0, 40), _WRITES),
    st.builds(lambda at, fault: Faults(notifications={at: fault}), st.integers(0, 60), _NOTIFIED),
)


@dataclass(frozen=True)
class Do:
    """One thing that happens; ``which`` says to what, where there is a choice."""

    what: str
    which: int = 0
    faults: Faults = NO_FAULTS
    after: int = 0


_THINGS = st.one_of(
    st.builds(Do, st.sampled_from(["create", "later", "delete", "change"]), st.integers(0, MOST)),
    st.builds(Do, st.just("visit"), faults=_FAULTS),
    st.builds(Do, st.just("crash"), after=st.integers(1, 6)),
    st.just(Do("wait")),
    st.just(Do("carry")),
    st.just(Do("open")),
)


class Killed(Exception):
    """The agent is."""


class Street:
    """The story as it goes, beside what has to be true at its end."""

    def __init__(self, on: Passwords) -> None:
        self.on = on
        self.made: list[str] = []
        self.pins: dict[str, str] = {}
        digits = bytes(int(one) for one in PHONES)
        self.phones = Credential(
            Method.TEMPORARY_PASSWORD, 0, 0, Validity.permanent().to_bytes(), 0, digits
        )
        on.app.flash.credentials[40] = replace(self.phones)

    async def do(self, step: Do) -> None:
        on = self.on
        known = self.made[step.which % len(self.made)] if self.made else None
        match step.what:
            case "create" | "later" if len(self.made) < MOST:
                pin = f"{len(self.made) + 1:06d}"
                begins = HOUR if step.what == "later" else -HOUR
                made = on.create(pin, begins=begins, ends=begins + DAY)
                self.made.append(made)
                self.pins[made] = pin
            case "delete" if known is not None and self.phase(known) is not Phase.DELETED:
                on.delete(known)
            case "change" if known is not None and self.phase(known) in _HELD:
                times = {"effective_time": int(on.world.clock.unix()) + HOUR}
                times["invalid_time"] = times["effective_time"] + DAY
                on.change(known, **times, phase=Phase.TO_BE_SENT)
            case "visit":
                on.world.radio.faults, on.world.radio.then = step.faults, NO_FAULTS
                await on.look()
            case "crash":
                await self.crash(step.after)
            case "carry":
                on.carry()
            case "wait":
                await anyio.sleep(2 * HOUR)
            case "open":
                await on.world.operate(f"key-{on.world.clock.now()}")
                await on.quiet()

    def phase(self, password_id: str) -> Phase:
        return self.on.cloud.desk.passwords[int(password_id)].phase

    async def crash(self, after: int) -> None:
        """The agent is killed right behind one of its commits, and another one begins."""
        on = self.on
        first, killed = on.book.kept, anyio.Event()

        def then(kept: int) -> None:
            if kept >= first + after and not killed.is_set():
                on.world.radio.links[-1].down("killed") if on.world.radio.links else None
                killed.set()
                raise Killed

        on.book.then = then
        await on.look()
        on.book.then = lambda _: None
        on.start()

    async def check(self) -> None:
        on = self.on
        on.world.radio.faults = on.world.radio.then = NO_FAULTS
        for _ in range(3):
            await on.look()
            on.world.doors._supervisor.called(DOOR)
            await on.quiet()
        unix = on.world.clock.unix()
        held = [
            one for one in on.cloud.desk.passwords.values()
            if one.phase in _HELD and one.invalid_time > unix
        ]  # fmt: skip
        states = on.states()
        given_up = {name for name, state in states.items() if state is State.GIVEN_UP}
        assert not given_up
        expected = sorted([one.pin.reveal().decode() for one in held] + [PHONES])
        assert on.at_lock() == expected
        for one in on.cloud.desk.passwords.values():
            good = one in held and one.effective_time <= unix
            assert on.opens(one.pin.reveal().decode()) is good
        assert on.app.flash.credentials[40] == self.phones


@settings(max_examples=60, deadline=None)
@given(st.lists(_THINGS, min_size=2, max_size=14))
def test_at_rest_the_lock_has_what_the_cloud_holds(steps: list[Do]) -> None:
    async def story(world: World) -> None:
        world.clock.trusted = True
        street = Street(Passwords(world))
        for step in steps:
            await street.do(step)
        await street.check()

    rehearse(story)
