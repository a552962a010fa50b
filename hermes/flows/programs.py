"""Command-line programs: which there are, how far each got, letting them be asked, asking one."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from sqlalchemy.orm import Session

from config import deadline
from config.auth import Caller
from config.contracts.tools import Execution, ExecutionResult, ProgramEntry, Tool, ToolPatch, Tools
from config.db_schema.hermes import CliOnboardingState, CliProvider
from config.errors import Conflict, NotFound, Unavailable
from config.programs import ProgramResult, call_of
from hermes import store
from hermes.adapters.own_file import OwnFile
from hermes.adapters.programs import Workbench
from hermes.flows.desk import Desk
from hermes.onboarding import Standing, standing_of
from hermes.providers import Programs as Entries
from hermes.tool_rows import brought_in_line, new_program, result_on_wire, tool_on_wire


class Programs:
    """The rows of `cli_providers` and `cli_onboarding_state`."""

    def __init__(self, desk: Desk, built_in: Entries, own: OwnFile[Entries], workbench: Workbench) -> None:
        self._desk = desk
        self._db = desk.house.db
        self._built_in = built_in
        self._own = own
        self._workbench = workbench
        self._is_surveyed = False

    @property
    def problem(self) -> str | None:
        """Why the user's file of programs, as it is now, does not count."""
        return self._own.problem

    @property
    def entries(self) -> Mapping[str, ProgramEntry]:
        """Every program that is declared; of two with one name the user's counts."""
        return {**self._built_in, **self._own.value}

    async def refresh(self) -> None:
        """Read the user's file where it has changed, and once at start: then look which programs are there."""
        changed = self._own.is_watched and await asyncio.to_thread(self._own.reread)
        if changed or not self._is_surveyed:
            await self.survey()
            self._is_surveyed = True

    async def survey(self) -> None:
        """Bring the rows in line with what is declared and what is on the PATH; runs nothing."""
        await self._db.writing(self._survey, await self.found())

    async def found(self) -> dict[str, Path | None]:
        """Where each declared program is now; runs nothing, writes nothing."""
        return await asyncio.to_thread(lambda: {e.name: self._workbench.find(e) for e in self.entries.values()})

    async def onboard(self, names: Iterable[str] | None = None) -> list[Tool]:
        """Ask programs what they are and whether they are signed in; the rows afterwards."""
        wanted = [self._entry(name) for name in names] if names is not None else list(self.entries.values())
        with self._desk.house.work.doing("onboard"):
            seen = await asyncio.gather(*(self._workbench.look(entry) for entry in wanted))
        standings = [
            (entry, path, standing_of(entry, evidence)) for entry, (path, evidence) in zip(wanted, seen, strict=True)
        ]
        await self._db.writing(self._note_standings, standings)
        return [tool for tool in (await self.tools()).items if tool.name in {entry.name for entry in wanted}]

    async def tools(self) -> Tools:
        """Every program with its state."""
        return Tools(items=await self._db.reading(self._tools))

    async def tool(self, name: str) -> Tool:
        """One program; NotFound if nobody declared it."""
        return await self._db.reading(self._tool, name)

    async def patch(self, caller: Caller, name: str, change: ToolPatch) -> Tool:
        """Let a program be asked, or not."""
        await self._db.writing(self._patch, caller, name, change)
        return await self.tool(name)

    async def execute(self, caller: Caller, request: Execution) -> ExecutionResult:
        """Run an enabled program once; Conflict for one that is off, Unavailable for one that is not ready."""
        settings = self._desk.house.settings.hermes
        prompt = request.prompt or request.arguments["prompt"]
        row = await self._db.reading(self._runnable, request.tool)
        model = request.model or request.arguments.get("model")
        call = call_of(str(row.path), row.argv, row.model_argv, prompt=prompt, model=model)
        seconds = min(request.timeout_sec or settings.program_timeout_sec, settings.program_timeout_sec)
        await self._db.writing(self._note_begin, caller, row.name, prompt, model)
        with self._desk.house.work.doing("execute"):
            result = await self._workbench.run(
                call.argv,
                call.stdin,
                row.environment,
                timeout_sec=deadline.within(seconds),
                output_limit=settings.program_output_kb << 10,
            )
        await self._db.writing(self._note_end, row.name, result)
        return result_on_wire(row.name, result)

    def _entry(self, name: str) -> ProgramEntry:
        entry = self.entries.get(name)
        if entry is None:
            raise NotFound(f"There is no program {name!r}.", hint="GET /hermes/tools lists them.")
        return entry

    def _survey(self, session: Session, found: dict[str, Path | None]) -> None:
        entries, now = self.entries, self._desk.now
        for row in store.all_programs(session):
            if row.name not in entries:
                self._tell(session, "program.removed", row)
                store.forget_program(session, row)
        for name, path in found.items():
            known = store.program_named(session, name)
            row = known or new_program(entries[name], now)
            session.add(row)
            if brought_in_line(row, entries[name], name in self._own.value, path, now) and (known or path):
                self._tell(session, "program.changed", row)

    def _note_standings(self, session: Session, seen: list[tuple[ProgramEntry, Path | None, Standing]]) -> None:
        for entry, path, standing in seen:
            row = store.program_named(session, entry.name)
            if row is None:
                row = new_program(entry, self._desk.now)
                session.add(row)
            before = row.state
            brought_in_line(row, entry, entry.name in self._own.value, path, self._desk.now)
            self._keep(session, row, standing)
            if before != row.state:
                self._tell(session, "program.changed", row)

    def _keep(self, session: Session, row: CliProvider, standing: Standing) -> None:
        now, obstacle = self._desk.now, standing.obstacle
        row.state, row.authentication = standing.state, standing.authentication
        row.version, row.models = standing.version, standing.models
        row.detail = obstacle.detail if obstacle else None
        row.hint = obstacle.hint if obstacle else None
        row.checked_at = row.updated_at = now
        here = {step.step: step for step in store.steps_of(session, row.name)}
        for step in standing.steps:
            kept = here.get(step.step)
            if kept is None:
                kept = CliOnboardingState(provider=row.name, step=step.step)
                session.add(kept)
            kept.outcome, kept.detail, kept.hint, kept.at = step.outcome, step.detail, step.hint, now

    def _tools(self, session: Session) -> list[Tool]:
        return [tool_on_wire(row, store.steps_of(session, row.name)) for row in store.all_programs(session)]

    def _tool(self, session: Session, name: str) -> Tool:
        return tool_on_wire(self._row(session, name), store.steps_of(session, name))

    def _row(self, session: Session, name: str) -> CliProvider:
        row = store.program_named(session, name)
        if row is None:
            raise NotFound(f"There is no program {name!r}.", hint="GET /hermes/tools lists them.")
        return row

    def _runnable(self, session: Session, name: str) -> CliProvider:
        row = self._row(session, name)
        if not row.enabled:
            raise Conflict(
                f"The program {name!r} is not enabled.", hint=f'PATCH /hermes/tools/{name} {{"enabled": true}}'
            )
        if row.state != "ready" or row.path is None:
            why = row.detail or "nobody has looked at it yet."
            raise Unavailable(
                f"The program {name!r} is not ready: {why}",
                hint=row.hint or f"POST /hermes/tools/{name}/onboard looks at it.",
            )
        return row

    def _patch(self, session: Session, caller: Caller, name: str, change: ToolPatch) -> None:
        row = self._row(session, name)
        row.enabled, row.updated_at = change.enabled, self._desk.now
        self._desk.note(session, caller, "tool.patch", name, {"enabled": change.enabled})
        self._tell(session, "program.changed", row)

    def _note_begin(self, session: Session, caller: Caller, name: str, prompt: str, model: str | None) -> None:
        """What was run by whom; the prompt itself is the caller's business, its hash tells it apart."""
        digest = hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()
        detail = {"model": model, "prompt_sha256": digest, "prompt_characters": len(prompt)}
        self._desk.note(session, caller, "tool.execute", name, detail)

    def _note_end(self, session: Session, name: str, result: ProgramResult) -> None:
        row = store.program_named(session, name)
        if row is not None:
            row.usage_count += 1
            row.last_used_at = self._desk.now

    def _tell(self, session: Session, type: str, row: CliProvider) -> None:
        data = {"name": row.name, "state": row.state, "enabled": row.enabled, "version": row.version}
        self._desk.house.journal.append(session, type, data)
