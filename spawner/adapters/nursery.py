"""The nursery from Spawner's side: starts it, sends orders, hands out what it tells (`spawner/nursery/order.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from spawner.adapters.copies import TooMuchError, changes, copy_of
from spawner.cage import PYTHON, Ending, Level, Task, Verdict
from spawner.nursery.order import Kill, Order, verdict_of

_log = logging.getLogger(__name__)
_HOUSE: Final = Path(__file__).parents[2]
COMMAND: Final = (sys.executable, "-m", "spawner.nursery")
_LEAVE_SEC: Final = 20.0
_TRIES: Final = 2


@dataclass(slots=True)
class _Run:
    """One daughter as it is waited for. `verdict` is None where the nursery ended under it."""

    started: Callable[[int], None]
    process: asyncio.subprocess.Process
    verdict: asyncio.Future[Verdict | None]
    pid: int | None = None


class Nursery:
    """The process that daughters are forked from; started when it is first needed, and again if it should end."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._runs: dict[str, _Run] = {}

    async def run(self, order: Order, started: Callable[[int], None]) -> Verdict:
        """One daughter to her end; when the caller is cancelled, she is ended first."""
        for _ in range(_TRIES):
            run = _Run(started, await self._up(), asyncio.get_running_loop().create_future())
            verdict = await self._once(order, run)
            if verdict is not None:
                return verdict
            if run.pid is not None:  # she had begun: not ours to begin again
                break
        return Verdict(Ending.KILLED, detail="the nursery ended under it")

    async def _once(self, order: Order, run: _Run) -> Verdict | None:
        self._runs[order.run] = run
        try:
            await _send(run.process, order.line())
            return await asyncio.shield(run.verdict)
        except asyncio.CancelledError:
            await _send(run.process, Kill(order.run).line())
            await run.verdict
            raise
        finally:
            del self._runs[order.run]

    @property
    def pid(self) -> int | None:
        """The process id; None while it does not run."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def kill(self, pid: int) -> bool:
        """Have the daughter with this pid ended."""
        found = [(name, run) for name, run in self._runs.items() if run.pid == pid and not run.verdict.done()]
        for name, run in found:
            await _send(run.process, Kill(name).line())
        return bool(found)

    async def close(self) -> None:
        """End the process; it ends its daughters first."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            async with asyncio.timeout(_LEAVE_SEC):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._hearing is not None:
            await self._hearing

    async def _up(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    env={"PATH": os.defpath, "PYTHONPATH": str(_HOUSE), "HOME": "/"},  # nothing to be found there
                    start_new_session=True,  # what ends Spawner's group leaves it the time to end its daughters
                )
                self._hearing = asyncio.create_task(self._hear(self._process))
            return self._process

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            said = json.loads(line)
            run = self._runs.get(said["run"])
            if run is None:
                continue
            if "pid" in said:
                run.pid = said["pid"]
                run.started(said["pid"])
            elif not run.verdict.done():
                run.verdict.set_result(verdict_of(said["verdict"]))
        await process.wait()
        for run in self._runs.values():
            if run.process is process and not run.verdict.done():
                _log.warning("the nursery ended under its daughters with %s", process.returncode)
                run.verdict.set_result(None)


async def _send(process: asyncio.subprocess.Process, line: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):  # it has just ended, which whoever waits is told
        process.stdin.write(line)
        await process.stdin.drain()


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that daughters get, and the folder it needs to be read; None where the system's folders hold it."""

    program: Path
    home: Path | None


class NurseryCage:
    """A `Cage` (`spawner/cage.py`) on one rung of the ladder."""

    def __init__(self, level: Level, nursery: Nursery, interpreter: Interpreter | None) -> None:
        self.level = level
        self._nursery = nursery
        self._interpreter = interpreter
        self._numbers = itertools.count(1)

    async def run(self, task: Task, output: Path, started: Callable[[int], None]) -> Verdict:
        """See `Cage.run`."""
        if not task.dry_run:
            return await self._run(task, output, started)
        try:
            with contextlib.ExitStack() as stack:
                copy = await asyncio.to_thread(stack.enter_context, copy_of(task.folder, task.limits.disk_mb))
                verdict = await self._run(replace(task, folder=copy), output, started)
                changed = await asyncio.to_thread(changes, task.folder, copy)
                return replace(verdict, changed_files=changed)
        except (TooMuchError, OSError) as error:
            return Verdict(Ending.REFUSED, detail=f"it could not be started: {error}")

    async def kill(self, pid: int) -> bool:
        """See `Cage.kill`."""
        return await self._nursery.kill(pid)

    async def close(self) -> None:
        """See `Cage.close`."""
        await self._nursery.close()

    async def _run(self, task: Task, output: Path, started: Callable[[int], None]) -> Verdict:
        if task.argv[0] == PYTHON:
            if self._interpreter is None:
                return Verdict(Ending.REFUSED, detail="no Python that a daughter's user can reach is installed here")
            task = replace(task, argv=(str(self._interpreter.program), *task.argv[1:]))
        order = Order(
            run=str(next(self._numbers)),
            rung=self.level.rung,
            task=task,
            output=output,
            user=self.level.user,
            interpreter=self._interpreter.home if self._interpreter else None,
        )
        return await self._nursery.run(order, started)
