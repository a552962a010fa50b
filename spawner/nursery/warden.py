"""One daughter's guard, a process of its own: starts her, samples her tree, judges, ends all of it, reports.

Whatever happens to Spawner or to the nursery, the control pipe ends with them, and then so does the tree.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn

from spawner.cage import Ending, Limits, Rung, Verdict
from spawner.nursery import confine, kernel, order, sandlocked
from spawner.nursery.folder import floor_mb, free_mb, give, held, mended
from spawner.nursery.limits import GRACE_SEC, Sample, Sentence, broken, meaning
from spawner.nursery.order import Order
from spawner.nursery.segments import Segments
from spawner.nursery.tree import Tree, ended_cpu_sec, largest_ended_mb

KILL: Final = b"k"  # on the control pipe
GO: Final = b"g"  # to the unborn, when all is ready
_READ_BYTES: Final = 1 << 16
_SAMPLE_SEC, _FOLDER_EVERY = 0.05, 3
_KILL_SEC: Final = 10.0
_FEW_FILES: Final = 10
_MIB: Final = 1 << 20


def guard(control: int, orders: tuple[int, int], sample: bytes) -> None:
    """Have a daughter ready, wait for an order on `control`, run it to its end and report on stdout.

    `orders` are both ends of a pipe on which the daughter-to-be hears the same order. After the order `control` says
    `KILL`, or ends. `sample` is an order of before to get warm on, empty where there is no time for that.
    """
    kernel.adopt_orphans()
    unborn = Unborn(control, orders, sample)
    if sample:
        _rehearse(sample)
    line, rest = _line(control)
    if not line:
        unborn.let_go()
        return
    wanted = order.read(line)
    assert isinstance(wanted, Order)
    try:
        if wanted.user is not None:
            give(wanted.task.folder, wanted.user)
        warden = Warden(wanted, unborn, control)
    except OSError as error:
        _tell(order.ended(wanted.run, Verdict(Ending.REFUSED, detail=f"it could not be started: {_reason(error)}")))
        return
    if rest:
        warden.kill()
    _tell(order.ended(wanted.run, warden.watch()))


def _rehearse(sample: bytes) -> None:
    """Do what can be done without a daughter: the first time costs a forked process more, each page it writes to being
    copied."""
    wanted = order.read(sample)
    assert isinstance(wanted, Order)
    limits, folder = wanted.task.limits, str(wanted.task.folder)
    held(folder, _FEW_FILES)
    floor_mb(free_mb(folder))
    tree = Tree((), wanted.user)
    tree.reap()
    tree.taken(limits.memory_mb)
    kind, code, number, detail = meaning(0, limits, ended_cpu_sec())
    order.started(wanted.run, 0)
    order.ended(wanted.run, Verdict(kind, code, number, max_rss_mb=largest_ended_mb(), detail=detail))


class Unborn:
    """A daughter-to-be: forked beforehand, so that becoming one takes the least time. Ends when its parent does."""

    def __init__(self, control: int, orders: tuple[int, int], sample: bytes) -> None:
        self.output, says = os.pipe()
        hears, self._orders = orders
        self._birth, tells = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            for descriptor in (control, self._orders, self.output, self._birth):  # so that who dies is missed at once
                os.close(descriptor)
            _be_born(hears, says, tells, sample)
        for descriptor in (says, hears, tells):
            os.close(descriptor)
        os.set_blocking(self.output, False)

    def let_go(self) -> None:
        """Have it end without an order."""
        os.close(self._orders)
        os.waitpid(self.pid, 0)

    def become(self) -> int:
        """Have the program begin: its pid. OSError where it cannot; then there is nothing to wait for any more."""
        with suppress(BrokenPipeError):
            os.write(self._orders, GO)
        said = b""
        while piece := os.read(self._birth, 512):
            said += piece
        if not said:
            return self.pid
        if said[:1].isdigit():
            return int(said)
        os.waitpid(self.pid, 0)
        raise OSError(said.decode(errors="replace"))


class Warden:
    """Watches one tree. OSError where she could not be started."""

    def __init__(self, wanted: Order, unborn: Unborn, control: int) -> None:
        self._limits: Limits = wanted.task.limits
        self._rung = wanted.rung
        self._folder = str(wanted.task.folder)
        self._before = self._now = held(self._folder, 1 << 30)
        self._floor_mb = floor_mb(free_mb(self._folder))
        self._control = control
        self._said, self._child = unborn.output, unborn.pid
        self._segments = Segments(wanted.output, self._limits.output_bytes)
        self._tree = Tree({self._child} if wanted.rung is Rung.SANDLOCK else (), wanted.user)
        self._samples = 0
        self._blind: frozenset[int] = frozenset()
        self._peak_mb = 0.0
        self._sentence: Sentence | None = None
        self._insist_at = float("inf")
        self._began = time.monotonic()
        _tell(order.started(wanted.run, unborn.become()))

    def kill(self) -> None:
        """Have her end: ask, and insist."""
        self._end(Sentence(Ending.KILLED, "it was killed", GRACE_SEC))

    def watch(self) -> Verdict:
        """Until she has ended, by herself or by us, and nothing is left."""
        over = os.pidfd_open(self._child)
        poll = select.poll()
        for descriptor in (self._said, self._control, over):
            poll.register(descriptor, select.POLLIN)
        next_sample = self._began + _SAMPLE_SEC
        while True:
            now = time.monotonic()
            ready = {descriptor for descriptor, _ in poll.poll(max(0, min(next_sample, self._insist_at) - now) * 1000)}
            if self._said in ready and not self._listen():
                poll.unregister(self._said)
            if self._control in ready:
                poll.unregister(self._control)
                self._ordered()
            if over in ready or time.monotonic() >= self._insist_at:
                break
            if time.monotonic() >= next_sample:
                self._judge()
                next_sample = time.monotonic() + _SAMPLE_SEC
        return self._close()

    def _listen(self) -> bool:
        """Take what was said; False when nobody can say anything any more."""
        with suppress(BlockingIOError):
            data = os.read(self._said, _READ_BYTES)
            self._segments.write(data)
            return bool(data)
        return True

    def _ordered(self) -> None:
        if os.read(self._control, 1) == KILL:
            self.kill()
        else:
            self._end(Sentence(Ending.KILLED, "Spawner is gone"))

    def _judge(self) -> None:
        self._samples += 1
        self._tree.reap()  # orphans that have ended still count for the kernel's limit
        taken = self._tree.taken(self._limits.memory_mb)
        self._peak_mb = max(self._peak_mb, taken.memory_mb)
        if self._samples % _FOLDER_EVERY == 0:
            self._now = held(self._folder, self._before.files + self._limits.folder_files)
        shown, before = taken.opened, self._blind
        self._blind = shown.blind  # of one look may be of one who is just beginning a program
        sample = Sample(
            wall_sec=time.monotonic() - self._began,
            cpu_sec=taken.cpu_sec,
            memory_mb=taken.memory_mb,
            processes=taken.processes,
            files=self._now.files + shown.files - self._before.files,
            disk_mb=(self._now.size_bytes + shown.size_bytes - self._before.size_bytes) / _MIB,
            hides=not self._now.whole or not shown.blind.isdisjoint(before),
            free_mb=free_mb(self._folder),
            floor_mb=self._floor_mb,
            said_bytes=self._segments.total,
        )
        sentence = broken(self._limits, sample)
        if sentence is not None:
            self._end(sentence)

    def _end(self, sentence: Sentence) -> None:
        """Have her end; a second reason changes nothing."""
        if self._sentence is not None:
            return
        self._sentence = sentence
        self._insist_at = time.monotonic() + sentence.grace_sec
        if sentence.grace_sec:
            self._tree.ask()

    def _close(self) -> Verdict:
        """End what is left, hear the last words, judge."""
        gone = self._tree.end(_KILL_SEC)
        while self._listen_to_the_last():
            pass
        self._segments.close()
        cpu = ended_cpu_sec()
        status = self._tree.status.get(self._child, -int(signal.SIGKILL))
        kind, code, number, detail = meaning(status, self._limits, cpu)
        if self._sentence is not None:
            kind, detail = self._sentence.kind, self._sentence.detail
        elif kind is Ending.SIGNAL and number == signal.SIGKILL and self._rung is Rung.SANDLOCK:
            kind, detail = Ending.MEMORY, f"sandlock ended it: it asked for more than {self._limits.memory_mb} MiB"
        if gone and not mended(self._folder):
            kind, detail = Ending.DISK, "its folder could not be walked any more, and was emptied"
        return Verdict(
            kind=kind,
            exit_code=code,
            signal=number,
            cpu_sec=round(cpu, 3),
            wall_sec=round(time.monotonic() - self._began, 3),
            max_rss_mb=round(max(self._peak_mb, largest_ended_mb()), 1),
            output_truncated=self._segments.dropped > 0,
            detail=detail if gone else f"{detail}; something of it could not be ended",
        )

    def _listen_to_the_last(self) -> bool:
        with suppress(BlockingIOError):
            data = os.read(self._said, _READ_BYTES)
            self._segments.write(data)
            return bool(data)
        return False


def _be_born(hears: int, output: int, tells: int, sample: bytes) -> NoReturn:
    """In the child: become what is ordered, or say why not. `tells` closes by itself when the program begins."""
    code = 127
    try:
        confine.attach(output)
        held_back = _held_back(order.read(sample)) if sample else None
        line, rest = _line(hears)
        if line:
            code = _become(order.read(line), held_back, tells, lambda: _go(hears, rest))
    except BaseException as error:  # border: a forked child must not return into its parent's code
        with suppress(OSError):
            os.write(tells, _reason(error).encode()[:500])
    finally:
        if code < 0:  # as she ended
            os.kill(os.getpid(), -code)
        os._exit(code)


def _go(hears: int, heard: bytes) -> None:
    """Wait for the word; without it the warden is gone, or could not make itself ready."""
    if (heard or os.read(hears, len(GO))) != GO:
        os._exit(1)


@dataclass(frozen=True, slots=True)
class _HeldBack:
    """An unborn is held already; `rules` are those of Landlock so far."""

    rules: int | None


def _held_back(wanted: Order | order.Kill) -> _HeldBack | None:
    """The keeper of a sandbox is held in another way."""
    assert isinstance(wanted, Order)
    if wanted.rung is Rung.SANDLOCK:
        return None
    return _HeldBack(confine.hold_back(_hold(wanted), network=wanted.task.network))


def _become(wanted: Order | order.Kill, held_back: _HeldBack | None, tells: int, go: Callable[[], None]) -> int:
    """Returns for the keeper of a sandbox alone."""
    assert isinstance(wanted, Order)
    already = held_back or _held_back(wanted)
    if already is None:
        return sandlocked.keep(wanted.task, _hold(wanted), tells, go)
    confine.become(wanted.task, _hold(wanted), already.rules, go)
    return 0


def _hold(wanted: Order) -> confine.Hold:
    return confine.Hold(wanted.rung, wanted.user, wanted.siblings, wanted.interpreter)


def _line(descriptor: int) -> tuple[bytes, bytes]:
    """A line, and what came after it; an empty one at the end."""
    said = b""
    while b"\n" not in said:
        piece = os.read(descriptor, _READ_BYTES)
        if not piece:
            return b"", b""
        said += piece
    line, _, rest = said.partition(b"\n")
    return line, rest


def _tell(line: bytes) -> None:
    os.write(1, line)


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    name = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    return f"{text or type(error).__name__}{name}"
