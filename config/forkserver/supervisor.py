"""The fork server's loop: signals, madre's orders and a few clocks in; forks and signals out.

Level-triggered like the reconciler it serves: each turn looks at what runs and at what should, and does what
is missing. It never waits for a child and never blocks on a pipe.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from config import lifeline
from config.clock import SystemClock
from config.db import prepare_runtime_folder
from config.forkserver import child, keeping, lines, logfile, pidfile
from config.forkserver.link import LinkPair, open_link
from config.forkserver.preload import preload
from config.migrate import migrate_apart
from config.serve import refuse_open_door, serve
from config.services import CORE, FLEET, is_present
from config.settings import Settings

_STOP_GRACE_SEC = 6.0  # uvicorn's own grace (serve.py) and a little
_LOGS_EVERY_SEC = 10.0
_READ_BYTES = 65_536
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Child:
    """One forked service; times but `started_at` are monotonic seconds. `kill_at` is set once it was asked to stop."""

    service: str
    pid: int
    started_at: datetime
    forked_at: float
    kill_at: float | None = None


def run_fleet(settings: Settings) -> int:
    """`python -m config fleet`: run until SIGTERM, SIGINT or SIGHUP; the exit status."""
    refuse_open_door(settings)
    prepare_runtime_folder(settings.runtime_path)
    lock = pidfile.hold(settings.runtime_path / "fleet.pid")
    try:
        migrate_apart(settings)
        lifeline.one_malloc_arena()
        lifeline.adopt_orphans()
        lifeline.name_process("vx11:fleet")
        preload()
        ForkServer(settings.logs_path, lambda service, link: serve(service, settings, link=link)).run()
        return 0
    except KeyboardInterrupt:  # Ctrl-C before the loop listens to signals: no child is there yet
        return 128 + signal.SIGINT
    finally:
        os.close(lock)


class ForkServer:
    """Keeps the core services, obeys madre, reaps everything. `body` is what a child does; it gives the exit status."""

    def __init__(self, log_folder: Path, body: child.Body, *, stop_grace_sec: float = _STOP_GRACE_SEC) -> None:
        self._log_folder = log_folder
        self._body = body
        self._stop_grace_sec = stop_grace_sec
        self._clock = SystemClock()
        self._children: dict[str, Child] = {}
        self._kept = {service: keeping.Kept() for service in CORE}
        self._link: LinkPair | None = None
        self._orders = lines.LineBuffer()
        self._poll = select.poll()
        self._is_closing = False
        self._cut_logs_at = 0.0

    def run(self) -> None:
        """Serve until asked to end and every child is gone."""
        signals = self._listen_to_signals()
        while True:
            self._reap()
            if self._is_closing and not self._children:
                return
            next_at = self._do_what_is_due(time.monotonic())
            wait_ms = max(0.0, next_at - time.monotonic()) * 1000
            for descriptor, _event in self._poll.poll(int(wait_ms) + 1):
                if descriptor == signals:
                    _drain(signals)
                else:
                    self._hear_madre()

    def _listen_to_signals(self) -> int:
        """Make signals readable on a pipe, so that one arriving at any moment ends the wait."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_end_signal)
        self._poll.register(reading, select.POLLIN)
        return reading

    def _on_end_signal(self, _number: int, _frame: object) -> None:
        self._is_closing = True

    def _do_what_is_due(self, now: float) -> float:
        """Everything whose time has come; when the next thing will be due (monotonic seconds)."""
        for running in list(self._children.values()):
            if running.kill_at is not None and now >= running.kill_at:
                _signal_group(running.pid, signal.SIGKILL)
        if self._is_closing:
            self._stop_in_order(now)
        else:
            self._keep_core(now)
        if now >= self._cut_logs_at:
            logfile.cut(self._log_folder)
            self._cut_logs_at = now + _LOGS_EVERY_SEC
        return min([self._cut_logs_at, *self._coming(now)])

    def _coming(self, now: float) -> list[float]:
        kills = [max(running.kill_at, now + 0.1) for running in self._children.values() if running.kill_at is not None]
        starts = [kept.start_at for service, kept in self._kept.items() if service not in self._children]
        return kills + ([] if self._is_closing else starts)

    def _stop_in_order(self, now: float) -> None:
        """Sleepers first, then the gateway, madre last: each group once the one before it is gone."""
        sleepers = tuple(service for service in self._children if service not in CORE)
        for group in (sleepers, *((service,) for service in CORE)):
            alive = [service for service in group if service in self._children]
            for service in alive:
                self._ask_to_stop(service, now)
            if alive:
                return

    def _keep_core(self, now: float) -> None:
        for service, kept in self._kept.items():
            if service not in self._children and now >= kept.start_at and is_present(FLEET[service]):
                self._start(service)
            elif service not in self._children and not is_present(FLEET[service]):
                self._kept[service] = replace(kept, start_at=now + _LOGS_EVERY_SEC)

    def _start(self, service: str) -> None:
        pair = self._fresh_link() if service == "madre" else None
        theirs = pair.theirs if pair else None
        pid = child.fork_service(service, self._log_folder, self._body, theirs)
        if pair:
            pair.close_theirs()
        self._children[service] = Child(service, pid, self._clock.now(), time.monotonic())
        _log.info("started %s as process %d", service, pid)

    def _ask_to_stop(self, service: str, now: float) -> None:
        running = self._children.get(service)
        if running is None or running.kill_at is not None:
            return
        self._children[service] = replace(running, kill_at=now + self._stop_grace_sec)
        os.kill(running.pid, signal.SIGTERM)

    def _fresh_link(self) -> LinkPair:
        self._drop_link()
        self._link, self._orders = open_link(), lines.LineBuffer()
        self._poll.register(self._link.orders, select.POLLIN)
        return self._link

    def _drop_link(self) -> None:
        if self._link is not None:
            self._poll.unregister(self._link.orders)
            self._link.close()
            self._link = None

    def _hear_madre(self) -> None:
        if self._link is None:
            return
        try:
            data = os.read(self._link.orders, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:  # madre is gone; her next life gets a pair of its own
            self._drop_link()
            return
        for line in self._orders.fed(data):
            try:
                order = lines.read_order(line)
            except lines.BadLine as error:
                _log.error("madre said something that is no order: %s", error)
                continue
            self._say(lines.answer_line(self._obey(order)))

    def _obey(self, order: lines.Order) -> lines.Answer:
        refused = self._refusal(order)
        if refused is None and order.order == "start" and order.service not in self._children:
            self._start(order.service)
        elif refused is None and order.order == "stop":
            self._ask_to_stop(order.service, time.monotonic())
        return lines.Answer(order.id, tuple(self._running()), refused)

    def _refusal(self, order: lines.Order) -> str | None:
        if order.order == "list":
            return None
        if order.service in CORE or order.service not in FLEET:
            return f"{order.service!r} is not a service that sleeps"
        if self._is_closing:
            return lines.CLOSING
        return None if is_present(FLEET[order.service]) else f"{order.service} is absent"

    def _running(self) -> list[lines.Running]:
        return [
            lines.Running(running.service, running.pid, running.started_at, running.kill_at is not None)
            for running in self._children.values()
        ]

    def _say(self, line: bytes) -> None:
        """Tell madre; a pipe that is full or closed loses the line, and her next question brings the truth."""
        if self._link is None:
            return
        try:
            os.write(self._link.reports, line)
        except (BlockingIOError, BrokenPipeError):
            _log.warning("madre does not listen; a report was dropped")

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            ended = next((running for running in self._children.values() if running.pid == pid), None)
            if ended is not None:
                self._buried(ended, os.waitstatus_to_exitcode(status))
            self._kill_orphans()  # killing one orphan makes orphans of its own children

    def _buried(self, ended: Child, status: int) -> None:
        del self._children[ended.service]
        _signal_group(ended.pid, signal.SIGKILL)
        asked = ended.kill_at is not None
        now = time.monotonic()
        if ended.service in self._kept:
            lived = now - ended.forked_at
            self._kept[ended.service] = keeping.after_exit(self._kept[ended.service], lived_sec=lived, now=now)
        _log.log(logging.INFO if asked else logging.ERROR, "%s ended with status %d", ended.service, status)
        if ended.service == "madre":
            self._drop_link()
        self._say(lines.exit_line(lines.Exited(ended.service, ended.pid, status, asked)))

    def _kill_orphans(self) -> None:
        """End what a dead service left behind outside its process group; only services may be children of this one."""
        known = {running.pid for running in self._children.values()}
        for pid in _own_children():
            if pid not in known:
                _signal_group(pid, signal.SIGKILL)
                _signal(pid, signal.SIGKILL)


def _own_children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return []


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, _READ_BYTES):
            pass
    except BlockingIOError:
        pass
