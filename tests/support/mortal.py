"""A service as something to be killed: a process that is forked ready for each life, and says how each one ended.

    python -m tests.support.mortal <madre|spawner> <folder> <port offset>

A line on its input begins a life and says before which of its commits it kills itself (0: never), and, with `later`,
that it counts them from the moment at which it gets SIGUSR1. It answers `born <pid>` and, when that life is over,
`died <signal or exit status>`. Nothing of the service is otherwise than in a fleet, but that for madre services are
only said to run, and that spawner looks at its daughters more often and tries again at once.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import Engine, event

from config import logs
from config.app import build_house
from config.settings import PowerSettings, Settings, SpawnerSettings
from tests.support.house import settings_in
from tests.support.server import served

LATER = "later"


def settings_of(folder: Path, offset: int) -> Settings:
    """What every process of such a house is told."""
    power = PowerSettings(driver="noop", windows_ttl_check_interval=0.05, memory_mb=8192)
    spawner = SpawnerSettings(backoff_sec=0)
    return settings_in(folder, models_path=folder, port_offset=offset, power=power, spawner=spawner)


def die_before(commit: int, *, later: bool = False) -> None:
    """Have this process kill itself when it is about to commit something written, for the `commit`th time: whoever of
    it writes that, and whether to the house's database or to the one that DBOS keeps; with `later`, counted from
    SIGUSR1 on."""
    counted = itertools.count(1)
    counts = threading.Event()
    if later:
        signal.signal(signal.SIGUSR1, lambda *_: counts.set())
    else:
        counts.set()

    @event.listens_for(Engine, "before_cursor_execute")
    def _executed(connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE"):
            connection.info["wrote"] = True

    @event.listens_for(Engine, "rollback")
    def _forget(connection: Any) -> None:
        connection.info.pop("wrote", None)

    @event.listens_for(Engine, "commit")
    def _count(connection: Any) -> None:
        wrote = connection.info.pop("wrote", False)
        if wrote and counts.is_set() and next(counted) == commit:
            os.kill(os.getpid(), signal.SIGKILL)


def maker_of(service: str, settings: Settings) -> Callable[[], FastAPI]:
    """What makes the app of a life; all that it imports is imported now, so that no life has to."""
    if service == "madre":
        import dbos  # noqa: F401

        import madre.flows.executors.table  # noqa: F401
        from madre.app import create

        return lambda: create(build_house("madre", settings))
    from spawner.app import create as spawner

    return lambda: spawner(build_house("spawner", settings), tick_sec=0.05)


async def live(make: Callable[[], FastAPI], port: int) -> None:
    """One life."""
    async with served(make(), port=port):
        await asyncio.Event().wait()


def main() -> None:
    """Fork a life for each line of input."""
    service, folder, offset = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    settings = settings_of(folder, offset)
    make = maker_of(service, settings)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                logs.set_up(service, "warning")
                commit, *when = line.split()
                if int(commit):
                    die_before(int(commit), later=LATER in when)
                asyncio.run(live(make, settings.port_of(service)))
            finally:
                os._exit(1)  # killed is the only way to end that is meant
        print(f"born {child}", flush=True)
        _, status = os.waitpid(child, 0)
        print(f"died {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
