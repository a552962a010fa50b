"""Command-line programs as they are met on this machine: found, asked for what they are, run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from config.contracts.tools import ProgramEntry
from config.errors import VX11Error
from config.programs import ProgramResult, program_named, run_program, scrubbed_environment
from hermes.onboarding import Evidence

_PROBE_SEC: Final = 15.0
_PROBE_BYTES: Final = 64 << 10
_AT_ONCE: Final = 2  # programs on Node take a second of one core to start


class Workbench:
    """Looks for programs on `path` (default: our PATH) and runs them."""

    def __init__(self, path: str | None = None, *, probe_sec: float = _PROBE_SEC) -> None:
        self._path = path
        self._probe_sec = probe_sec
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def find(self, entry: ProgramEntry) -> Path | None:
        """Where a program is. Blocks."""
        return program_named(entry.argv[0], self._path)

    async def look(self, entry: ProgramEntry) -> tuple[Path | None, Evidence]:
        """Ask a program for its version, whether it is signed in, and for its models; nothing that costs or changes."""
        path = await asyncio.to_thread(self.find, entry)
        if path is None:
            return None, Evidence(is_found=False)
        probe = await self._ask(entry, path, entry.probe)
        if probe is None or not probe.succeeded:
            return path, Evidence(is_found=True, probe=probe)
        authentication, listing = entry.authentication, entry.listing
        return path, Evidence(
            is_found=True,
            probe=probe,
            authentication=await self._ask(entry, path, authentication.argv) if authentication else None,
            listing=await self._ask(entry, path, listing.argv) if listing else None,
            credential=next(
                iter(sorted(set(entry.credentials) & scrubbed_environment(entry.credentials).keys())), None
            ),
        )

    async def run(
        self, argv: list[str], stdin: bytes | None, variables: Sequence[str], *, timeout_sec: float, output_limit: int
    ) -> ProgramResult:
        """Run a program to its end; waits for its turn."""
        async with self._slots:
            return await run_program(
                argv,
                stdin=stdin,
                timeout_sec=timeout_sec,
                output_limit=output_limit,
                environment=scrubbed_environment(variables),
            )

    async def _ask(self, entry: ProgramEntry, path: Path, call: Sequence[str]) -> ProgramResult | None:
        argv = [str(path), *call[1:]]
        variables = [*entry.credentials, *entry.environment]
        try:
            return await self.run(argv, None, variables, timeout_sec=self._probe_sec, output_limit=_PROBE_BYTES)
        except VX11Error:
            return None  # it cannot be started, which is what onboarding wants to know
