"""Jobs as callers know them: taken on, shown, listed, hurried, ended."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from config.auth import EVERYBODY, Caller, Role, Scope
from config.contracts.base import Page
from config.contracts.spawning import (
    LIVE_STATUSES,
    Completion,
    Heartbeat,
    Job,
    JobDetail,
    Spawned,
    SpawnOrder,
    Subtask,
    Work,
)
from config.db_schema.spawner import DaughterTask
from config.errors import Conflict, RoleRequired, TooManyRequests
from config.idempotency import Keep
from config.logs import correlation_id
from config.paging import cut, decode_cursor
from spawner import genealogy, lives, store
from spawner.adapters.sayings import read_tail
from spawner.flows.desk import Desk, brief, only_of
from spawner.flows.running import TOOL_ISOLATION
from spawner.flows.settling import Settling, born, go_on, way_of
from spawner.flows.supervisor import Supervisor
from spawner.flows.tools import ensure_usable
from spawner.genealogy import Descent
from spawner.lives import Wish
from spawner.orders import limits_of, program_of, tool_call
from spawner.retries import Mutated
from spawner.shown import attempt_on_wire, daughter_on_wire, job_on_wire

_COME_BACK_SEC = 5.0
_SAID = {Wish.DONE.value: "DONE", Wish.FAILED.value: "ERROR"}


class Jobs:
    """The jobs of spawner."""

    def __init__(self, desk: Desk, settling: Settling, supervisor: Supervisor) -> None:
        self._desk = desk
        self._settling = settling
        self._supervisor = supervisor

    async def spawn(self, caller: Caller, order: SpawnOrder, keep: Keep) -> Spawned:
        """Take a job on; it starts when its turn comes. `keep` is given the answer in the write that makes the job."""
        self._ensure_may(caller, order)
        self._ensure_possible(order)
        spawned = await self._desk.house.db.writing(self._kept, caller, order, keep)
        self._supervisor.ring()
        return spawned

    def _kept(self, session: Session, caller: Caller, order: SpawnOrder, keep: Keep) -> Spawned:
        spawned = self._take_on(session, caller, order)
        keep(session, spawned)
        return spawned

    def _ensure_may(self, caller: Caller, order: SpawnOrder) -> None:
        """RoleRequired for the network without the operator's role, and where the cage is too weak for its caller."""
        if order.network and only_of(caller) is not None:
            raise RoleRequired("The network is granted to jobs of operators alone.", hint="Leave `network` out.")
        self._ensure_cage(caller.role)

    def _ensure_cage(self, role: Role) -> None:
        if (why := self._desk.why_not(role)) is not None:
            raise RoleRequired(
                why, hint="GET /spawner/status says why; VX11_SPAWNER_WEAK_ISOLATION=1 allows it all the same."
            )

    def _ensure_possible(self, order: SpawnOrder) -> None:
        for work in (order, *order.alternatives, *order.subtasks):
            if not work.is_empty and (program := program_of(work))[0] == "tool":
                ensure_usable(tool_call(program[1]), order.tool_allowlist)

    def _take_on(self, session: Session, caller: Caller, order: SpawnOrder) -> Spawned:
        self._ensure_room(session, caller, 1 + len(order.subtasks))
        spawn_id = self._new_id(session)
        descent = self._descent(session, caller, order, spawn_id)
        row = self._row(caller, order, spawn_id, descent)
        session.add(row)
        session.flush()  # before what hangs on it
        daughter = born(row, self._desk, None, None)
        session.add(daughter)
        parts = [self._part(session, caller, order, part, row, number) for number, part in enumerate(order.subtasks, 1)]
        if order.is_empty:
            row.phase, row.status, row.started_at = lives.PHASE_SUBTASKS, "RUNNING", self._desk.now
            daughter.status = "running"
        detail = {"task_type": row.task_type, "network": row.network, "subtasks": len(parts), "dry_run": row.dry_run}
        self._desk.note(session, caller, "job.spawn", row, detail)
        self._desk.tell(session, row)
        return Spawned(
            spawn_id=spawn_id,
            spawn_uuid=row.spawn_uuid,
            correlation_id=row.correlation_id,
            status="PENDING" if not order.is_empty else "RUNNING",
            daughter_id=daughter.daughter_id,
            attempt_id=daughter.attempt_id,
            name=row.name,
            expires_at=row.expires_at,
            subtasks=parts,
            isolation=self._isolation(row.task_type),
        )

    def _isolation(self, task_type: str) -> str:
        return TOOL_ISOLATION if task_type == "tool" else self._desk.cage.level.rung.value

    def _ensure_room(self, session: Session, caller: Caller, jobs: int) -> None:
        settings = self._desk.settings
        for most, user in ((settings.max_waiting, None), (settings.max_waiting_per_user, caller.user)):
            if store.unfinished(session, user) + jobs > most:
                whose = "of yours " if user else ""
                raise TooManyRequests(f"{most} jobs {whose}wait or run already.", retry_after_sec=_COME_BACK_SEC)

    def _new_id(self, session: Session) -> str:
        while store.job(session, spawn_id := f"spawn-{uuid.uuid4().hex[:8]}") is not None:
            pass
        return spawn_id

    def _descent(self, session: Session, caller: Caller, order: SpawnOrder, spawn_id: str) -> Descent:
        if order.parent_task_id is None:
            return genealogy.founder(spawn_id)
        parent = self._desk.visible(session, caller, order.parent_task_id)
        of_parent = Descent(parent.parent_task_id, parent.root_task_id, parent.depth)
        return genealogy.child_of(parent.spawn_id, of_parent, self._desk.settings.max_depth)

    def _part(
        self, session: Session, caller: Caller, order: SpawnOrder, part: Subtask, whole: DaughterTask, number: int
    ) -> str:
        spawn_id = self._new_id(session)
        own = order.model_copy(
            update={
                **{name: getattr(part, name) for name in Subtask.model_fields},
                "name": part.name or f"{whole.name} {number}",
                "alternatives": [],
                "subtasks": [],
            }
        )
        of_whole = Descent(whole.parent_task_id, whole.root_task_id, whole.depth)
        descent = genealogy.child_of(whole.spawn_id, of_whole, self._desk.settings.max_depth)
        row = self._row(caller, own, spawn_id, descent)
        row.part, row.correlation_id = number, whole.correlation_id
        session.add(row)
        session.flush()
        session.add(born(row, self._desk, None, None))
        self._desk.tell(session, row)
        return spawn_id

    def _row(self, caller: Caller, order: SpawnOrder, spawn_id: str, descent: Descent) -> DaughterTask:
        task_type, code = ("python", None) if order.is_empty else program_of(order)
        now = self._desk.now
        return DaughterTask(
            spawn_id=spawn_id,
            spawn_uuid=str(uuid.uuid4()),
            name=order.name or spawn_id,
            user=caller.user,
            owner_role=caller.role.value,
            task_type=task_type,
            code=code,
            intent=order.intent,
            status="PENDING",
            phase=lives.PHASE_QUEUED,
            parent_task_id=descent.parent,
            root_task_id=descent.root,
            depth=descent.depth,
            ttl_seconds=order.ttl_seconds,
            max_retries=order.max_retries,
            auto_retry=order.auto_retry,
            tries=0,
            limits=limits_of(order.limits, order.ttl_seconds, self._desk.settings, self._desk.together_mb),
            alternatives=[_alternative(work) for work in order.alternatives],
            alternative=0,
            scale=1.0,
            avoid=[],
            tool_allowlist=order.tool_allowlist,
            meta_info=order.metadata,
            workspace=order.workspace,
            network=order.network,
            dry_run=order.dry_run,
            correlation_id=order.trace_id or correlation_id.get(),
            created_at=now,
            expires_at=now + timedelta(seconds=order.ttl_seconds),
        )

    async def page(
        self, caller: Caller, limit: int, cursor: str | None, status: str | None, user: str | None = None
    ) -> Page[Job]:
        """The caller's jobs, or for an operator those of `user`; each such page leaves a trace."""
        whose = caller.whose(user, Scope.JOBS_ALL)
        rows = await self._desk.house.db.reading(store.jobs_page, limit, decode_cursor(cursor), whose, status)
        page, following = cut(rows, limit, lambda row: (row.created_at, row.spawn_id))
        if whose != caller.user:
            await self._desk.house.db.writing(self._desk.note_page, caller, whose or EVERYBODY, page)
        return Page(items=[job_on_wire(row) for row in page], next_cursor=following)

    async def job(self, caller: Caller, spawn_id: str) -> JobDetail:
        """All that is known of a job; NotFound for another user's, a trace where the caller may see it."""
        await self._desk.looked_at(caller, spawn_id)
        return await self._told(caller, spawn_id)

    async def _told(self, caller: Caller, spawn_id: str) -> JobDetail:
        shown = await self._desk.house.db.reading(self._detail, caller, spawn_id)
        if shown.attempts:
            output = self._desk.folders.output(shown.spawn_id, shown.attempts[-1].number)
            shown.output_tail = await asyncio.to_thread(read_tail, output)
        return shown

    def _detail(self, session: Session, caller: Caller, spawn_id: str) -> JobDetail:
        row = self._desk.visible(session, caller, spawn_id)
        family = store.family(session, row.root_task_id)
        parents = {one.spawn_id: one.parent_task_id for one in family}
        attempts = [attempt_on_wire(one) for one in store.attempts_of(session, row.spawn_id)]
        return JobDetail(
            **job_on_wire(row).model_dump(),
            code=row.code,
            metadata=row.meta_info,
            tool_allowlist=row.tool_allowlist,
            daughters=[daughter_on_wire(one) for one in store.daughters_of(session, row.spawn_id)],
            attempts=attempts,
            ancestors=genealogy.ancestors(row.parent_task_id, parents.get),
            subtasks=[job_on_wire(one) for one in store.parts_of(session, row.spawn_id)],
            children=[one.spawn_id for one in family if one.parent_task_id == row.spawn_id],
            changed_files=attempts[-1].changed_files if attempts else None,
            changed_more=attempts[-1].changed_more if attempts else 0,
            result=row.result,
            output_tail="",
        )

    async def kill(self, caller: Caller, spawn_id: str) -> JobDetail:
        """End a job and all that descends from it; one that has ended stays as it is."""
        found, running = await self._desk.house.db.writing(self._kill, caller, spawn_id)
        await asyncio.gather(*(self._supervisor.end(one) for one in running))
        return await self._told(caller, found)

    def _kill(self, session: Session, caller: Caller, spawn_id: str) -> tuple[str, list[str]]:
        row = self._desk.visible(session, caller, spawn_id)
        self._desk.note(session, caller, "job.kill", row, {"status": row.status})
        below = self._own_line(session, caller, row)
        for one in below:
            self._desk.note(session, caller, "job.kill", one, {"status": one.status, "descends_from": row.spawn_id})
        return row.spawn_id, self._settling.family_ended(session, [row, *below], f"It was killed by {caller.user}.")

    def _own_line(self, session: Session, caller: Caller, row: DaughterTask) -> list[DaughterTask]:
        """Who descends from a job and lives, as far as `caller` may act on them. Somebody else's child goes on, with
        all that descends from it: it was asked for by whom it belongs to, and a parent is only where it came from."""
        whose = only_of(caller)
        rows = {one.spawn_id: one for one in store.family(session, row.root_task_id) if whose in (None, one.user)}
        below = genealogy.descendants(row.spawn_id, [(one.spawn_id, one.parent_task_id) for one in rows.values()])
        return [rows[spawn_id] for spawn_id in below if rows[spawn_id].status in LIVE_STATUSES]

    async def execute(self, caller: Caller, spawn_id: str) -> JobDetail:
        """Run a job now: end its wait, or try once more what has ended without success."""
        found = await self._desk.house.db.writing(self._hurry, caller, spawn_id)
        self._supervisor.ring()
        return await self._told(caller, found)

    def _hurry(self, session: Session, caller: Caller, spawn_id: str) -> str:
        row = self._desk.visible(session, caller, spawn_id)
        if row.status == "DONE" or (row.code is None and row.status != "RUNNING"):
            raise Conflict(f"{row.spawn_id} has nothing left to run: {row.status}.")
        if row.task_type != "tool":
            self._ensure_cage(Role(row.owner_role))  # it runs with its owner's rights, whoever asks
        if row.status == "PENDING":
            row.not_before = None
        elif row.status != "RUNNING":
            self._once_more(session, row, caller)
        self._desk.note(session, caller, "job.execute", row, {"tries": row.tries})
        return row.spawn_id

    def _once_more(self, session: Session, row: DaughterTask, caller: Caller) -> None:
        """A try by hand, beyond `max_retries` too; the TTL begins anew."""
        self._ensure_room(session, caller, 1)
        row.status, row.phase, row.finished_at, row.error = "PENDING", lives.PHASE_QUEUED, None, None
        row.expires_at = self._desk.now + timedelta(seconds=row.ttl_seconds)
        if row.tries:
            by_hand = Mutated(way_of(row), "by_hand", f"{caller.user} asked for another try.", {})
            go_on(session, row, by_hand, self._desk)
        else:
            daughter = store.daughter_of(session, row.spawn_id)
            daughter.status, daughter.finished_at = "spawned", None
        self._desk.tell(session, row)

    async def heartbeat(self, caller: Caller, spawn_id: str, sign: Heartbeat) -> Job:
        """Note a sign of life, and how far a job says it is."""
        return job_on_wire(await self._desk.house.db.writing(self._beat, caller, spawn_id, sign))

    def _beat(self, session: Session, caller: Caller, spawn_id: str, sign: Heartbeat) -> DaughterTask:
        row = self._desk.visible(session, caller, spawn_id)
        if row.status != "RUNNING":
            raise Conflict(f"{row.spawn_id} does not run: {row.status}.")
        row.progress = row.progress if sign.progress is None else sign.progress
        for attempt in store.attempts_of(session, row.spawn_id)[-1:]:
            attempt.heartbeat_at = self._desk.now
        self._desk.tell(session, row, "job.progress", progress=row.progress, note=brief(sign.note, 600))
        return row

    async def complete(self, caller: Caller, spawn_id: str, completion: Completion) -> JobDetail:
        """End a job with its owner's word; a process of it that still runs is ended."""
        wish = Wish.DONE if completion.status == "DONE" else Wish.FAILED
        found, running = await self._desk.house.db.writing(self._complete, caller, spawn_id, completion, wish)
        await asyncio.gather(*(self._supervisor.end(one) for one in running))
        self._supervisor.ring()
        return await self._told(caller, found)

    def _complete(
        self, session: Session, caller: Caller, spawn_id: str, completion: Completion, wish: Wish
    ) -> tuple[str, list[str]]:
        """The job's id, and the running jobs that are to be struck."""
        row = self._desk.visible(session, caller, spawn_id)
        said_before = row.result == completion.result and completion.status in (row.status, _SAID.get(row.wish or ""))
        if row.status not in LIVE_STATUSES or row.wish is not None:
            if said_before:
                return row.spawn_id, [] if row.wish is None else [row.spawn_id]
            how = f"has ended already: {row.status}" if row.wish is None else "is being ended already"
            raise Conflict(f"{row.spawn_id} {how}.")
        row.result = completion.result
        self._desk.note(session, caller, "job.complete", row, {"status": completion.status})
        because = completion.detail or f"{caller.user} said that it is {completion.status}."
        return row.spawn_id, self._settling.ended(session, row, wish, because)


def _alternative(work: Work) -> dict[str, Any]:
    task_type, code = program_of(work)
    return {"task_type": task_type, "code": code}
