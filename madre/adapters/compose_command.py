"""The real `docker compose`, run by argument lists: what its file says, and bringing services up.

It gets the whole environment, because the file's variables are resolved from it: a container that madre creates must
be the one that a person's `docker compose up` would have created.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any, Final

from config.errors import NotFound, StartFailed, Unavailable
from config.logs import redacted
from config.programs import ProgramResult, run_program
from config.settings import inherited_environment
from madre.adapters.printed import readable

_CONFIG_SEC: Final = 15.0
_UP_SEC: Final = 60.0
_OUTPUT_BYTES: Final = 4 << 20
_LINES_SHOWN: Final = 3
_NOISE: Final = re.compile(r"^time=|^\s*(Container|Network|Volume) \S+\s+\w+$")


class ComposeCommand:
    """`docker compose` for one project, from `file`, at the engine `engine`. Names come from the house's table only."""

    def __init__(self, file: Path, project: str, engine: str) -> None:
        self._file = file.absolute()
        self._project = project
        self._engine = engine
        self._resolved: dict[str, Any] = {}
        self._read_as: tuple[int, int] | None = None
        self._one_reader = asyncio.Lock()

    async def config(self) -> dict[str, Any]:
        """The file as Compose resolves it, read again when it has changed; StartFailed where it cannot."""
        async with self._one_reader:
            stamp = self._stamp()
            if stamp != self._read_as:
                run = await self._run("config", "--format", "json", within_sec=_CONFIG_SEC)
                if not run.succeeded:
                    raise StartFailed(f"The compose file cannot be read: {_said(run)}")
                self._resolved, self._read_as = json.loads(run.stdout), stamp
            return self._resolved

    async def up(self, *services: str) -> None:
        """Have containers of these services run, made only where there are none; StartFailed with what Compose said.

        Madre decides what runs, so nothing is built, pulled, recreated or started along.
        """
        flags = ("--detach", "--no-recreate", "--no-build", "--pull", "never", "--no-deps")
        run = await self._run("up", *flags, *services, within_sec=_UP_SEC)
        if not run.succeeded:
            raise StartFailed(f"{', '.join(services)} was not started: {_said(run)}")

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self._file.stat()
        except OSError:
            raise StartFailed(f"There is no compose file {self._file.name}.") from None
        return found.st_mtime_ns, found.st_size

    async def _run(self, *arguments: str, within_sec: float) -> ProgramResult:
        common = ("docker", "compose", "-p", self._project, "-f", str(self._file), "--progress", "quiet")
        try:
            return await run_program(
                [*common, *arguments],
                timeout_sec=within_sec,
                output_limit=_OUTPUT_BYTES,
                environment={**inherited_environment(), "DOCKER_HOST": self._engine, "NO_COLOR": "1"},
                folder=self._file.parent,
            )
        except (NotFound, Unavailable) as error:
            raise StartFailed(error.detail) from error


def _said(run: ProgramResult) -> str:
    """The end of what it complained of, fit for an answer: no credentials, no paths of the host."""
    if run.timed_out:
        return f"docker compose did not end within {run.seconds:.0f} s"
    lines = [line for line in readable(run.stderr.decode(errors="replace").splitlines()) if not _NOISE.match(line)]
    return redacted("\n".join(lines[-_LINES_SHOWN:])) or f"docker compose ended with status {run.code}"
