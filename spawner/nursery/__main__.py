"""The nursery's life: read orders from stdin, fork a warden for each, end when Spawner lets go of the pipe."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import signal
import sys
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from spawner.cage import Ending, Rung, Verdict
from spawner.nursery import confine, kernel, order, sandlocked
from spawner.nursery.folder import mended
from spawner.nursery.tree import Tree, end_strays
from spawner.nursery.warden import KILL, guard

_READ_BYTES = 1 << 16
_COUNT_FOR_SEC = 10.0
_LEAVE_SEC = 15.0
_TRIES = 2
_QUIET_MS = 10  # without an order: longer than a daughter takes to begin


@dataclass(frozen=True, slots=True)
class _Warden:
    """`control` is the pipe it listens to, `orders` that of its unborn, -1 once it has had its order; `run` is empty
    while it waits, then `number` says which uid is taken, and `folder` where its daughter works."""

    run: str
    pid: int
    control: int
    orders: int
    number: int = 0
    folder: str = ""

    def let_go(self) -> None:
        """Close what of its pipes is open: both then know that there is nobody any more."""
        for descriptor in (self.control, self.orders):
            if descriptor >= 0:
                os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What decides how a daughter is held before her task is known."""

    rung: Rung
    shares_user: bool
    network: bool


class Nursery:
    """The wardens."""

    def __init__(self) -> None:
        self._wardens: dict[int, _Warden] = {}  # by pidfd
        self._poll = select.poll()
        self._poll.register(0, select.POLLIN)
        self._counted_at, self._count = float("-inf"), 0
        self._no_sandlock: str | None = None
        self._waiting: tuple[int, _Warden] | None = None
        self._wants_waiting, self._sample = False, b""
        self._kind: _Kind | None = None

    def serve(self) -> None:
        """Until stdin ends; then every daughter does."""
        rest = b""
        while True:
            ready = self._poll.poll(_QUIET_MS if self._wants_waiting else None)
            if not ready:
                self._fork_beforehand()
            for descriptor, _ in ready:
                if descriptor != 0:
                    self._ended(descriptor)
                    continue
                data = os.read(0, _READ_BYTES)
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._hear(order.read(line), line)

    def leave(self) -> None:
        """End all: wardens see their pipes close; whatever had lost its warden is ended here."""
        for warden in self._wardens.values():
            warden.let_go()
        deadline = time.monotonic() + _LEAVE_SEC
        tree = Tree()
        while self._wardens and time.monotonic() < deadline:
            for descriptor, _ in self._poll.poll(100):
                if descriptor == 0:
                    self._poll.unregister(0)
                elif self._wardens.pop(descriptor, None):
                    self._poll.unregister(descriptor)
        tree.end(_LEAVE_SEC)

    def _hear(self, said: order.Order | order.Kill, line: bytes) -> None:
        if isinstance(said, order.Kill):
            for warden in self._wardens.values():
                if warden.run == said.run:
                    with contextlib.suppress(BrokenPipeError):
                        os.write(warden.control, KILL)
            return
        if said.rung is Rung.SANDLOCK and self._without_sandlock():
            verdict = Verdict(Ending.REFUSED, detail=self._without_sandlock())
            os.write(1, order.ended(said.run, verdict))
            return
        if (kind := _Kind(said.rung, said.user is None, said.task.network)) != self._kind:
            self._dismiss()  # it is held as another kind is
            confine.prepare(said.rung, said.user, said.task.network)
            self._kind = kind
        self._begin(said, line)

    def _begin(self, wanted: order.Order, line: bytes) -> None:
        """Hand the order to the warden that waits. The next one is forked once there is quiet (`serve`): now that would
        take the processor that this daughter begins on."""
        number = _first_free({warden.number for warden in self._wardens.values() if warden.run})
        user = None if wanted.user is None else wanted.user + number
        try:
            line = order.handed_on(line, user, self._siblings() if user is None else 0)
            watched, waiting = self._hearing(line)
        except OSError as error:  # as when there may be no more processes: others' daughters go on
            detail = f"it could not be started: {error.strerror}"
            os.write(1, order.ended(wanted.run, Verdict(Ending.REFUSED, detail=detail)))
            return
        os.close(waiting.orders)
        begun = replace(waiting, run=wanted.run, number=number, folder=str(wanted.task.folder), orders=-1)
        self._wardens[watched] = begun
        self._wants_waiting, self._sample = True, line

    def _hearing(self, line: bytes) -> tuple[int, _Warden]:
        """A pair that has heard the order: the one that waits, or a new one where there is none, or it has just died.
        OSError where none can be had."""
        for _ in range(_TRIES):
            watched, waiting = self._waiting or self._fork()
            self._waiting = None
            if _heard(waiting, line):
                return watched, waiting
            self._let_go(watched)
        raise ChildProcessError(errno.ECHILD, "what was forked for it died at once")

    def _fork_beforehand(self) -> None:
        """Have a pair wait; where none can be forked now, the next order sees to its own."""
        self._wants_waiting = False
        with contextlib.suppress(OSError):
            self._waiting = self._fork(self._sample)
            order.read(self._sample)  # the fork has made our own pages ones that are copied when written to

    def _dismiss(self) -> None:
        """Let the warden that waits go."""
        if self._waiting is not None:
            self._let_go(self._waiting[0])
            self._waiting = None

    def _let_go(self, watched: int) -> None:
        """Have a warden end that has nothing to guard."""
        warden = self._wardens[watched]
        warden.let_go()
        self._wardens[watched] = replace(warden, control=-1, orders=-1)

    def _fork(self, sample: bytes = b"") -> tuple[int, _Warden]:
        """A new pair; OSError where there is no room for one."""
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            hears, tells = _pipe(theirs, ours)
            orders = _pipe(theirs, ours)
            pid = os.fork()
            if pid == 0:
                self._be_warden(hears, tells, orders, sample)
            watched = os.pidfd_open(pid)
            ours.pop_all()
        self._poll.register(watched, select.POLLIN)
        warden = self._wardens[watched] = _Warden("", pid, tells, orders[1])
        return watched, warden

    def _be_warden(self, hears: int, tells: int, orders: tuple[int, int], sample: bytes) -> NoReturn:
        code = 1
        try:
            os.close(0)
            os.open(os.devnull, os.O_RDONLY)
            for descriptor in (tells, *self._wardens):
                os.close(descriptor)
            for other in self._wardens.values():
                other.let_go()
            guard(hears, orders, sample)
            code = 0
        except BaseException:  # border: a forked warden must not return into the nursery's code
            traceback.print_exc()
        finally:
            os._exit(code)

    def _ended(self, descriptor: int) -> None:
        """A warden is gone. One that was killed has told nothing and left its tree to us."""
        warden = self._wardens.pop(descriptor)
        self._poll.unregister(descriptor)
        warden.let_go()
        status = os.waitid(os.P_PIDFD, descriptor, os.WEXITED)
        os.close(descriptor)
        if self._waiting and self._waiting[0] == descriptor:
            self._waiting = None  # the next order sees to its own: there may be no room for another
        if status is not None and status.si_status == 0:
            return
        end_strays(frozenset(other.pid for other in self._wardens.values()))
        if warden.run:
            with contextlib.suppress(OSError):  # the folder may be gone
                mended(warden.folder)
            os.write(1, order.ended(warden.run, Verdict(Ending.KILLED, detail="its warden died")))

    def _siblings(self) -> int:
        """Processes and threads of this user; looked at now and then."""
        if time.monotonic() - self._counted_at > _COUNT_FOR_SEC:
            self._counted_at, self._count = time.monotonic(), _tasks_of(os.getuid())
        return self._count

    def _without_sandlock(self) -> str:
        if self._no_sandlock is None:
            self._no_sandlock = sandlocked.available()
            self._dismiss()  # it was forked without it
        return self._no_sandlock


def _pipe(reading: contextlib.ExitStack, writing: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe, whose ends these close."""
    hears, tells = os.pipe()
    reading.callback(os.close, hears)
    writing.callback(os.close, tells)
    return hears, tells


def _heard(waiting: _Warden, line: bytes) -> bool:
    """Whether warden and unborn heard it; the unborn first, who has more to do."""
    try:
        for descriptor in (waiting.orders, waiting.control):
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
    except BrokenPipeError:
        return False
    return True


def _first_free(taken: set[int]) -> int:
    return next(number for number in range(len(taken) + 1) if number not in taken)


def _tasks_of(user: int) -> int:
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == user:
                    count += len(os.listdir(Path(entry.path, "task")))
    return count


def main() -> int:
    """Serve to the end."""
    kernel.adopt_orphans()
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}:
        signal.signal(number, signal.SIG_DFL)  # for those to be forked, whatever our parent ignored
    gc.freeze()
    gc.disable()  # a forked warden would only copy pages by it
    nursery = Nursery()
    try:
        nursery.serve()
    finally:
        nursery.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main())
