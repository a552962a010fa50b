"""The pair that waits for the next order: held beforehand as the last daughter was, and replaced where it dies."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

from spawner.cage import Ending
from tests.support.cages import Grounds, alive
from tests.support.eventually import eventually

SOCKET = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('127.0.0.1', 9)); print('made')"

LONG = """
import os, time
open('begun', 'w').close()
while not os.path.exists('go'):
    time.sleep(0.01)
print('went')
"""


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


async def test_a_warden_whose_death_nobody_noticed_is_replaced(ground: Grounds) -> None:
    assert (await ground.run("print(1)"))[1] == "1\n"
    warden, _ = await _pair(ground)
    assert ground.nursery.pid is not None
    os.kill(ground.nursery.pid, signal.SIGSTOP)
    await _killed(warden)
    again = asyncio.create_task(ground.run("print(2)"))
    for _ in range(10):
        await asyncio.sleep(0)  # the order is sent without waiting for anything
    os.kill(ground.nursery.pid, signal.SIGCONT)
    assert (await again)[1] == "2\n"


async def test_an_order_larger_than_a_pipe_reaches_whoever_is_left(ground: Grounds) -> None:
    assert (await ground.run("print(1)"))[1] == "1\n"
    _, unborn = await _pair(ground)
    await _killed(unborn)
    assert (await ground.run("print(2)" + " " * 100_000))[1] == "2\n"


async def test_where_nothing_can_be_forked_an_order_is_refused_and_others_go_on(ground: Grounds) -> None:
    other = asyncio.create_task(ground.run(LONG))
    folder = ground.place / "work-1"
    await eventually(_exists(folder / "begun"), bool)
    warden, _ = await _pair(ground, beside=1)
    await _killed(warden)
    _may_open(ground, 3)
    verdict, _ = await ground.run("print(2)")
    assert (verdict.kind, "could not be started" in verdict.detail) == (Ending.REFUSED, True)
    _may_open(ground, resource.getrlimit(resource.RLIMIT_NOFILE)[0])  # which it inherited
    assert (await ground.run("print(3)"))[1] == "3\n"
    (folder / "go").touch()
    assert (await other)[1] == "went\n"


async def test_who_waited_is_held_as_her_own_task_asks(ground: Grounds) -> None:
    """The filter is installed before the order is known, so one of another kind must not get it."""
    for network in (False, False, True, True, False):
        verdict, said = await ground.run(SOCKET, network=network)
        assert (verdict.succeeded, "made" in said) == (network, network)
        await _pair(ground)


async def _pair(ground: Grounds, beside: int = 0) -> tuple[int, int]:
    """The warden who waits, and his unborn, once there are no others but so many at work; the last one forked."""

    async def look() -> list[tuple[int, ...]]:
        return [(warden, *_children(warden)) for warden in sorted(_children(ground.nursery.pid or 0))]

    found = await eventually(look, lambda found: len(found) == beside + 1 and len(found[-1]) == 2)
    warden, unborn = found[-1]
    return warden, unborn


def _exists(path: Path) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return path.exists()

    return look


def _may_open(ground: Grounds, files: int) -> None:
    """Have the nursery open descriptors below that number alone: neither pipe nor process is to be had without."""
    user = ground.user
    own = () if user is None else ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
    subprocess.run([*own, "prlimit", f"--pid={ground.nursery.pid}", f"--nofile={files}:"], check=True)


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
