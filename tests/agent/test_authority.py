"""Who may, asked twice: when the request comes and right before it is written (safety F2, A3)."""

from __future__ import annotations

import anyio
import pytest

from bleagent.authority.issued_tokens import Revoked
from bleagent.authority.tokens import EVERY_SCOPE
from bleagent.doors import Doors
from bleagent.health.stall import BEAT, DISTRUSTED, TOLERATED, StallWatch
from bleagent.http.auth import Tokens, Unauthorized
from bleagent.model import Principal
from protocol import Secret
from tests.agent.stories import FIRST, LAST, JumpingClock, at_write, rewire, told
from tests.agent.world import World, rehearse


def test_a_token_is_taken_and_another_is_not() -> None:
    tokens = Tokens(Secret("the-token"))
    caller = tokens.principal("Bearer the-token")
    assert caller == Principal(id="token", grant=1, scopes=EVERY_SCOPE)
    tokens.require_good(caller, "front")
    for header in (None, "", "Bearer", "Bearer the-toke", "Basic the-token", "the-token"):
        with pytest.raises(Unauthorized):
            tokens.principal(header)


def test_a_replaced_token_is_good_for_nothing_that_is_not_written_yet() -> None:
    tokens = Tokens(Secret("the-token"))
    caller = tokens.principal("Bearer the-token")
    assert not tokens.replace(Secret("the-token"))
    tokens.require_good(caller, "front")
    assert tokens.replace(Secret("another"))
    with pytest.raises(Revoked):
        tokens.require_good(caller, "front")
    with pytest.raises(Unauthorized):
        tokens.principal("Bearer the-token")
    tokens.require_good(tokens.principal("Bearer another"), "front")


@pytest.mark.parametrize("fragment", [0, FIRST, LAST - 1])
def test_an_operation_whose_token_is_replaced_on_the_way_is_not_written(fragment: int) -> None:
    async def story(world: World) -> None:
        tokens = Tokens(Secret("the-token"))

        def replace() -> None:
            tokens.replace(Secret("another"))

        at_write(world, fragment, replace)
        doors = world.doors
        world.doors = Doors(
            doors._doors, doors._ports, doors._supervisor, world.tasks,
            allowed=lambda _, lock: tokens.require_good(Principal(id="token", grant=1), lock),
        )  # fmt: skip
        assert told(await world.operate()) == ("unreached", "token-revoked")
        assert len(world.radio.links[0].written) == LAST
        assert world.actuations() == []

    rehearse(story)


def test_doors_ask_about_the_very_caller() -> None:
    async def story(world: World) -> None:
        asked: list[tuple[Principal, str]] = []
        doors = world.doors
        world.doors = Doors(
            doors._doors, doors._ports, doors._supervisor, world.tasks,
            allowed=lambda principal, lock: asked.append((principal, lock)),
        )  # fmt: skip
        await world.operate()
        assert asked == [(Principal(id="tester"), "front")]

    rehearse(story)


# -- a process that stood still


def test_a_process_that_runs_has_not_stood_still() -> None:
    async def story(world: World) -> None:
        watch = StallWatch(world.clock)
        assert not watch.stalled()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.run)
            for _ in range(20):
                await anyio.sleep(0.13)
                assert not watch.stalled()
            tasks.cancel_scope.cancel()

    rehearse(story)


@pytest.mark.parametrize(
    ("asleep", "stalled"), [(0.9 * TOLERATED, False), (1.1 * (TOLERATED + BEAT), True), (120, True)]
)
def test_a_process_that_stood_still_says_so_for_a_moment(asleep: float, stalled: bool) -> None:
    async def story(world: World) -> None:
        clock = JumpingClock()
        rewire(world, clock=clock)
        watch = StallWatch(clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.run)
            await anyio.sleep(10.1)
            clock.jumped = asleep
            assert watch.stalled() is stalled
            await anyio.sleep(0.5 * DISTRUSTED)
            assert watch.stalled() is stalled
            await anyio.sleep(DISTRUSTED)
            assert not watch.stalled()
            tasks.cancel_scope.cancel()

    rehearse(story)
