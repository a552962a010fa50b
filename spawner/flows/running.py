"""One try from its begin to its verdict: the rows at its begin, the cage or a tool in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from config.auth import Caller, Role
from config.db_schema.spawner import DaughterAttempt, DaughterTask
from config.errors import VX11Error
from spawner import lives, store
from spawner.adapters.leftovers import started_at
from spawner.adapters.sayings import total_of
from spawner.cage import Task, Verdict, argv_of
from spawner.flows.desk import Desk
from spawner.flows.room import Room
from spawner.flows.settling import End
from spawner.flows.tools import Toolbox
from spawner.orders import limits_for_cage, tool_call
from spawner.plain import as_many_as_fit

TOOL_ISOLATION = "peer"  # no process of ours: another service does it, with the caller's own rights


@dataclass(frozen=True, slots=True)
class Try:
    """All that a try needs, read from the rows at its begin."""

    spawn_id: str
    attempt_id: str
    number: int
    user: str
    role: str
    task_type: str
    code: str
    limits: dict[str, float]
    expires_at: datetime
    workspace: str | None
    network: bool
    dry_run: bool
    scale: float
    avoid: tuple[str, ...]
    tool_allowlist: tuple[str, ...]
    mutation: dict[str, Any] | None
    correlation_id: str

    @property
    def caller(self) -> Caller:
        """On whose behalf it runs, with the rights they had."""
        return Caller(self.user, Role(self.role), f"job:{self.spawn_id}")

    @property
    def environment(self) -> dict[str, str]:
        """What a daughter is told about itself; nothing else of ours reaches it."""
        return {
            "VX11_SPAWN_ID": self.spawn_id,
            "VX11_ATTEMPT_ID": self.attempt_id,
            "VX11_ATTEMPT": str(self.number),
            "VX11_SCALE": f"{self.scale:g}",
            "VX11_MUTATION": "" if self.mutation is None else json.dumps(self.mutation),
        }


class Running:
    """Begins tries and brings them to their end."""

    def __init__(self, desk: Desk, toolbox: Toolbox, room: Room) -> None:
        self._desk = desk
        self._room = room
        self._toolbox = toolbox

    def begin(self, session: Session, job: DaughterTask) -> Try:
        """Write that a job's next try begins."""
        now, daughter = self._desk.now, store.daughter_of(session, job.spawn_id)
        isolation = TOOL_ISOLATION if job.task_type == "tool" else self._desk.cage.level.rung.value
        job.tries, job.status, job.phase = job.tries + 1, "RUNNING", lives.PHASE_RUNNING
        job.started_at, job.not_before, job.isolation = job.started_at or now, None, isolation
        daughter.status = "running"
        session.add(
            DaughterAttempt(
                attempt_id=daughter.attempt_id,
                spawn_id=job.spawn_id,
                daughter_id=daughter.daughter_id,
                number=job.tries,
                status="running",
                mutation=daughter.mutation,
                isolation=isolation,
                limits=job.limits,
                started_at=now,
                heartbeat_at=now,
                output_bytes=0,
                output_truncated=False,
                changed_more=0,
            )
        )
        self._desk.tell(session, job, attempt_id=daughter.attempt_id)
        return _try_of(job, daughter.attempt_id, daughter.mutation)

    async def to_its_end(self, one: Try, started: Callable[[int], None]) -> End:
        """Run a try; how it ended. `started` is told the pid of a process, not of a tool."""
        if one.task_type == "tool":
            return await self._use_tool(one)
        if (why := self._desk.why_not(one.caller.role)) is not None:
            return End("refused", why)
        await asyncio.to_thread(self._desk.folders.drop_work, one.spawn_id)  # of the try before
        try:
            task, output = self._task(one), self._desk.folders.output(one.spawn_id, one.number)
        except (VX11Error, OSError) as error:
            return End("refused", f"It could not be prepared: {error}")
        end = end_of(await self._desk.cage.run(task, output, started), dry_run=one.dry_run)
        if end.kind == "disk":  # what filled it is what nobody wants
            await asyncio.to_thread(self._desk.folders.drop_work, one.spawn_id)
        await self._room.measure(one.user, one.spawn_id, one.workspace)
        return replace(end, output_bytes=await asyncio.to_thread(total_of, output))

    async def _use_tool(self, one: Try) -> End:
        """A tool's time on the clock is ours to keep: its call is given up then, whatever the service goes on to do."""
        output, within = self._desk.folders.output(one.spawn_id, one.number), self._wall_sec(one)
        try:
            async with asyncio.timeout(within):
                return await self._toolbox.use(one.caller, tool_call(one.code), one.tool_allowlist, one.avoid, output)
        except TimeoutError:
            return End("timeout", f"It had not answered after {within:g} s.", wall_sec=within)

    def _wall_sec(self, one: Try) -> float:
        return limits_for_cage(one.limits, (one.expires_at - self._desk.now).total_seconds()).wall_sec

    def wrote_pid(self, session: Session, attempt_id: str, pid: int) -> None:
        """Keep which process a try is, so that it is found again if this service dies."""
        attempt = store.attempt(session, attempt_id)
        if attempt is not None:
            attempt.pid, attempt.pid_started = pid, started_at(pid)

    def _task(self, one: Try) -> Task:
        folders = self._desk.folders
        if one.workspace:
            folders.used(one.user, one.workspace, self._desk.now.timestamp())
        work = folders.workspace(one.user, one.workspace) if one.workspace else folders.work(one.spawn_id, one.number)
        return Task(
            argv=argv_of(one.task_type, one.code),
            folder=work,
            environment=one.environment,
            network=one.network,
            limits=limits_for_cage(one.limits, (one.expires_at - self._desk.now).total_seconds()),
            dry_run=one.dry_run,
        )


def end_of(verdict: Verdict, *, dry_run: bool) -> End:
    """A verdict of the cage in the words of the table; which files changed is known of dry runs alone."""
    changed, more = as_many_as_fit({"path": file.path, "change": file.change.value} for file in verdict.changed_files)
    return End(
        kind=verdict.kind.value,
        because=verdict.detail,
        exit_code=verdict.exit_code,
        signal=verdict.signal,
        cpu_sec=verdict.cpu_sec,
        wall_sec=verdict.wall_sec,
        max_rss_mb=verdict.max_rss_mb,
        output_truncated=verdict.output_truncated,
        changed_files=changed if dry_run else None,
        changed_more=more if dry_run else 0,
    )


def _try_of(job: DaughterTask, attempt_id: str, mutation: dict[str, Any] | None) -> Try:
    return Try(
        spawn_id=job.spawn_id,
        attempt_id=attempt_id,
        number=job.tries,
        user=job.user,
        role=job.owner_role,
        task_type=job.task_type,
        code=job.code or "",
        limits=dict(job.limits),
        expires_at=job.expires_at,
        workspace=job.workspace,
        network=job.network,
        dry_run=job.dry_run,
        scale=job.scale,
        avoid=tuple(job.avoid),
        tool_allowlist=tuple(job.tool_allowlist),
        mutation=mutation,
        correlation_id=job.correlation_id,
    )
