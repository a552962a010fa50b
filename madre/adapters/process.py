"""The process driver: the services are children of the fork server, ordered over two pipes.

The fork server is asked anew at each look, so a restarted madre sees every service that outlived her.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from config.errors import StartFailed, Unavailable
from config.forkserver import lines, logfile
from config.forkserver.link import ForkLink
from config.logs import redacted
from config.services import CORE
from madre.adapters.printed import readable
from madre.adapters.process_tree import tree_usage
from madre.drivers import Observed, Usage

_ANSWER_SEC = 5.0
_LINES_READ = 40
_LAST_LINES = 6


class ProcessDriver:
    """Starts and stops forked services; `running()` must be entered before it is used."""

    name = "process"
    simulated = False

    def __init__(self, link: ForkLink, log_folder: Path) -> None:
        self._link = link
        self._log_folder = log_folder
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[lines.Answer]] = {}
        self._exits: dict[str, lines.Exited] = {}
        self._pids: dict[str, int] = {}
        self._changed: asyncio.Queue[str] = asyncio.Queue()
        self._buffer = lines.LineBuffer()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen to the fork server while the block runs."""
        loop = asyncio.get_running_loop()
        os.set_blocking(self._link.reports, False)
        os.set_blocking(self._link.orders, False)  # a fork server that hangs must not hang madre
        loop.add_reader(self._link.reports, self._on_reports)
        try:
            yield
        finally:
            loop.remove_reader(self._link.reports)

    async def start(self, service: str) -> None:
        """Have the fork server fork it; the core it keeps itself, with its own pauses."""
        if service in CORE:
            return
        answer = await self._ask("start", service)
        if answer.refused == lines.CLOSING:
            raise Unavailable(f"{service} was not started: {answer.refused}.")
        if answer.refused:
            raise StartFailed(f"{service} was not started: {answer.refused}.")

    async def stop(self, service: str) -> None:
        """SIGTERM now; SIGKILL to its whole process group after the fork server's grace."""
        await self._ask("stop", service)

    async def observe(self) -> Mapping[str, Observed]:
        """The fork server's children, core included."""
        answer = await self._ask("list")
        self._pids = {child.service: child.pid for child in answer.children}
        return {child.service: _seen(child) for child in answer.children}

    async def events(self) -> AsyncIterator[str]:
        """Each service that ends."""
        while True:
            yield await self._changed.get()

    async def usage(self) -> Mapping[str, Usage]:
        """From /proc, over each service's whole process tree; shared pages by share, so the figures add up."""
        return await asyncio.to_thread(_measured, dict(self._pids))

    async def last_words(self, service: str) -> str:
        """How it last ended, and the end of its log without credentials, stack frames and paths of the host."""
        printed = await asyncio.to_thread(logfile.last_lines, self._log_folder, service, _LINES_READ)
        ended = self._exits.get(service)
        return redacted("\n".join([*([_how(ended)] if ended else []), *readable(printed)[-_LAST_LINES:]]))

    async def _ask(self, kind: lines.OrderKind, service: str = "") -> lines.Answer:
        order = lines.Order(next(self._ids), kind, service)
        answered = asyncio.get_running_loop().create_future()
        self._waiting[order.id] = answered
        try:
            os.write(self._link.orders, lines.order_line(order))
            return await asyncio.wait_for(answered, _ANSWER_SEC)
        except (TimeoutError, OSError) as error:
            raise Unavailable("The fork server does not answer.", retry_after_sec=1) from error
        finally:
            del self._waiting[order.id]

    def _on_reports(self) -> None:
        data = os.read(self._link.reports, lines.PIPE_BUF * 16)
        if not data:  # the fork server is gone; the kernel ends this process with it
            asyncio.get_running_loop().remove_reader(self._link.reports)
        for line in self._buffer.fed(data):
            self._on_report(lines.read_report(line))

    def _on_report(self, report: lines.Answer | lines.Exited) -> None:
        if isinstance(report, lines.Exited):
            self._exits[report.service] = report
            self._changed.put_nowait(report.service)
            return
        waiting = self._waiting.get(report.id)
        if waiting and not waiting.done():
            waiting.set_result(report)


def _seen(child: lines.Running) -> Observed:
    return Observed(str(child.pid), child.started_at, child.stopping)


def _how(ended: lines.Exited) -> str:
    if ended.status < 0:
        return f"{ended.service} was ended by signal {-ended.status}."
    return f"{ended.service} ended with status {ended.status}."


def _measured(pids: dict[str, int]) -> dict[str, Usage]:
    found = {service: tree_usage(pid) for service, pid in pids.items()}
    return {service: usage for service, usage in found.items() if usage is not None}
