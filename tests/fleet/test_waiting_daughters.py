"""The pair that waits for the next order: held beforehand as the last daughter was, and replaced where it dies."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cages import KINDS, Grounds, Kind, alive, grounds
from tests.support.eventually import eventually

SOCKET = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('127.0.0.1', 9)); print('made')"


@pytest.fixture(params=KINDS, ids=str)
async def ground(request: pytest.FixtureRequest) -> AsyncIterator[Grounds]:
    kind: Kind = request.param
    if kind.missing:
        pytest.skip(kind.missing)
    with grounds(kind) as made:
        yield made
        await made.cage.close()


async def test_a_daughter_who_dies_before_her_order_is_replaced(ground: Grounds) -> None:
    assert (await ground.run("print(1)"))[1] == "1\n"
    warden, unborn = await _pair(ground)
    await _killed(unborn)
    assert (await ground.run("print(2)"))[1] == "2\n"
    assert (await _pair(ground))[0] != warden


async def test_a_warden_who_dies_before_his_order_is_replaced(ground: Grounds) -> None:
    assert (await ground.run("print(1)"))[1] == "1\n"
    warden, unborn = await _pair(ground)
    await _killed(warden)
    assert (await ground.run("print(2)"))[1] == "2\n"
    assert unborn not in await _pair(ground)


async def test_who_waited_is_held_as_her_own_task_asks(ground: Grounds) -> None:
    """The filter is installed before the order is known, so one of another kind must not get it."""
    for network in (False, False, True, True, False):
        verdict, said = await ground.run(SOCKET, network=network)
        assert (verdict.succeeded, "made" in said) == (network, network)
        await _pair(ground)


async def _pair(ground: Grounds) -> tuple[int, int]:
    """The warden who waits, and his unborn, once they are alone."""

    async def look() -> tuple[int, ...]:
        wardens = _children(ground.nursery.pid or 0)
        return (*wardens, *(unborn for warden in wardens for unborn in _children(warden)))

    warden, unborn = await eventually(look, lambda found: len(found) == 2)
    return warden, unborn


async def _killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)

    async def look() -> bool:
        return alive(pid)

    await eventually(look, lambda lives: not lives)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
