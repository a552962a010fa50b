"""Madre as something to be killed: a process that is forked ready to run for each life, and says how each one ended.

    python -m tests.support.mortal <folder> <port offset>

A line on its input begins a life and says before which of its commits it kills itself (0: never). It answers
`born <pid>` and, when that life is over, `died <signal or exit status>`. Nothing of madre is otherwise than in a
fleet, but that services are only said to run.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from config import logs
from config.app import build_house
from config.settings import PowerSettings, Settings
from madre.app import create
from tests.support.house import ADMIN


def settings_of(folder: Path, offset: int) -> Settings:
    """What every process of such a house is told."""
    power = PowerSettings(driver="noop", windows_ttl_check_interval=0.05, memory_mb=8192)
    return Settings(token=ADMIN, data_path=folder / "data", models_path=folder, port_offset=offset, power=power)  # type: ignore[arg-type]  # as people write it


def die_before(commit: int) -> None:
    """Have this process kill itself when it is about to commit something written, for the `commit`th time: whoever of
    madre writes it, and whether to her own database or to the one that DBOS keeps."""
    counted = itertools.count(1)

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
        if wrote and next(counted) == commit:
            os.kill(os.getpid(), signal.SIGKILL)


async def live(settings: Settings) -> None:
    """One life."""
    app = create(build_house("madre", settings))
    async with app.router.lifespan_context(app):
        await asyncio.Event().wait()


def main() -> None:
    """Fork a life for each line of input."""
    import dbos  # noqa: F401  # so that no life has to

    import madre.flows.executors.table  # noqa: F401

    settings = settings_of(Path(sys.argv[1]), int(sys.argv[2]))
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                logs.set_up("madre", "warning")
                if commit := int(line):
                    die_before(commit)
                asyncio.run(live(settings))
            finally:
                os._exit(1)  # killed is the only way to end that is meant
        print(f"born {child}", flush=True)
        _, status = os.waitpid(child, 0)
        print(f"died {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
