"""Tasks: prompts that are kept first and answered in their turn, also after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.orm import Session

from config import audit
from config.app import House
from config.auth import Caller, Role, Scope
from config.contracts.prompts import RoutedPrompt, TaskState, TaskTicket
from config.db_schema import SwitchQueueV2, new_id
from config.errors import NotFound, TooManyRequests, VX11Error
from config.idempotency import Keep
from config.logs import correlation_id
from config.problems.outgoing import bug, problem_body
from switch import store
from switch.flows.chats import Chats
from switch.orders import asker_of

_log = logging.getLogger(__name__)
_MOST_UNFINISHED = 200  # of one user
_MOST_ATTEMPTS = 3  # a task that ends Switch must not do so for ever


class Tasks:
    """The tasks of one Switch; the most urgent and oldest first, `parallel_tasks` at once."""

    def __init__(self, house: House, chats: Chats) -> None:
        self._house = house
        self._chats = chats
        self._line: list[tuple[int, float, str]] = []
        self._news = asyncio.Condition()
        self._under_way: dict[str, asyncio.Timeout] = {}  # what ends an answer before its end

    async def put(self, body: RoutedPrompt, caller: Caller, keep: Keep) -> TaskTicket:
        """Keep a task; it is on the disk when this returns. `keep` is given the ticket in the write that does it."""
        row = self._row(body, caller)
        ticket = TaskTicket(task_queue_id=row.id, status="QUEUED")
        await self._house.db.writing(_put, row, ticket, keep)
        await self._queue(row)
        return ticket

    def _row(self, body: RoutedPrompt, caller: Caller) -> SwitchQueueV2:
        asker = asker_of(caller)
        who = {"role": caller.role.value, "token_id": caller.token_id, "service": caller.service}
        return SwitchQueueV2(
            id=new_id("task"),
            kind="task",
            state="QUEUED",
            priority=asker.priority,
            user=caller.user,
            source=body.source,
            task_type=body.task_type,
            correlation_id=correlation_id.get(),
            provider=None,
            model=None,
            prompt_tokens_guess=len(body.prompt) // 4,
            attempts=0,
            enqueued_at=self._house.clock.now(),
            started_at=None,
            finished_at=None,
            payload={"body": body.model_dump(mode="json"), "who": who},
            result=None,
            error=None,
        )

    async def show(self, task_id: str, caller: Caller) -> TaskState:
        """How a task stands; NotFound for another user's, unless the caller sees everybody's: then it is recorded."""
        row = await self._house.db.reading(_task, task_id, caller)
        if row.user != caller.user:
            await self._house.db.writing(self._note, caller, "task.read", row)
        return _shown(row)

    async def cancel(self, task_id: str, caller: Caller) -> TaskState:
        """End a task: it leaves the line, or its answer is cut short at once. One that is over stays as it is."""
        task = await self._house.db.writing(self._cancelled, task_id, caller)
        answering = self._under_way.pop(task_id, None) if task.status == "CANCELLED" else None
        if answering is not None:
            answering.reschedule(asyncio.get_running_loop().time())
        return task

    def _cancelled(self, session: Session, task_id: str, caller: Caller) -> TaskState:
        row = _task(session, task_id, caller)
        change = {"state": "CANCELLED", "finished_at": self._house.clock.now()}
        is_ended = store.change_task(session, task_id, change)
        session.refresh(row)
        if row.user != caller.user:
            self._note(session, caller, "task.cancel" if is_ended else "task.read", row)
        return _shown(row)

    def _note(self, session: Session, caller: Caller, action: str, row: SwitchQueueV2) -> None:
        """Record what was done with, or seen of, another's task: it holds what a model said to them."""
        whose, service = {"owner": row.user, "override": True}, self._house.service.name
        audit.append(session, caller, action, row.id, whose, now=self._house.clock.now(), service=service)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer tasks while the service lives, beginning with those an earlier life left."""
        for row in await self._house.db.reading(store.unfinished_tasks):
            await self._queue(row)
        workers = [asyncio.create_task(self._work()) for _ in range(self._house.settings.switch.parallel_tasks)]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _queue(self, row: SwitchQueueV2) -> None:
        async with self._news:
            heapq.heappush(self._line, (row.priority, row.enqueued_at.timestamp(), row.id))
            self._news.notify()

    async def _work(self) -> None:
        while True:
            async with self._news:
                while not self._line:
                    await self._news.wait()
                _, _, task_id = heapq.heappop(self._line)
            with self._house.work.doing("task"):
                try:
                    await self._answered(task_id)
                except Exception:  # border: one task must not end those after it
                    _log.exception("task %s broke", task_id)
                    await self._ended(task_id, "ERROR", error=problem_body(bug()))

    async def _answered(self, task_id: str) -> None:
        row = await self._house.db.reading(store.task, task_id)
        if row is None or row.payload is None:
            return
        correlation_id.set(row.correlation_id)
        answering = self._under_way[task_id] = asyncio.timeout(None)  # before it is said to run: see `cancel`
        try:
            async with answering:
                change = await self._come_of(row, row.payload)
        except TimeoutError:
            if not answering.expired():
                raise
            return  # it was cancelled, and its row says so
        finally:
            self._under_way.pop(task_id, None)
        if change is not None:
            await self._ended(task_id, **change)

    async def _come_of(self, row: SwitchQueueV2, payload: dict[str, Any]) -> dict[str, Any] | None:
        """What comes of a task, as its row will have it; None of one that was cancelled before it began."""
        body, who = RoutedPrompt.model_validate(payload["body"]), payload["who"]
        caller = Caller(row.user, Role(who["role"]), who["token_id"], who["service"])
        started = {"state": "RUNNING", "started_at": self._house.clock.now(), "attempts": row.attempts + 1}
        if not await self._house.db.writing(store.change_task, row.id, started):
            return None
        if row.attempts >= _MOST_ATTEMPTS:
            return {"state": "ERROR", "error": {"code": "gave_up", "detail": "Switch ended while it ran."}}
        try:
            heard, _ = await self._chats.routed(body, caller, "task", row.id)
        except VX11Error as error:
            return {"state": "ERROR", "error": problem_body(error)}
        result = {"reply": heard.said.text, "latency_ms": heard.latency_ms, "decision": heard.trace.decision}
        return {"state": "DONE", "result": result, "provider": heard.provider, "model": heard.model}

    async def _ended(self, task_id: str, state: str, **values: Any) -> None:
        change = {"state": state, "finished_at": self._house.clock.now(), **values}
        await self._house.db.writing(store.change_task, task_id, change)


def _task(session: Session, task_id: str, caller: Caller) -> SwitchQueueV2:
    """The caller's task, or anybody's for who may see all jobs; a task is one of them, as a daughter or a plan is."""
    row = store.task(session, task_id)
    if row is None or (row.user != caller.user and not caller.may(Scope.JOBS_ALL)):
        raise NotFound(f"There is no task {task_id!r}.")
    return row


def _shown(row: SwitchQueueV2) -> TaskState:
    result = row.result or {}
    return TaskState(
        task_queue_id=row.id,
        status=row.state,  # type: ignore[arg-type]  # the table holds only what is written here
        task_type=row.task_type,
        source=row.source,
        attempts=row.attempts,
        enqueued_at=row.enqueued_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        model=row.model,
        provider=row.provider,
        reply=result.get("reply"),
        latency_ms=result.get("latency_ms"),
        decision=result.get("decision"),
        error=row.error,
    )


def _put(session: Session, row: SwitchQueueV2, ticket: TaskTicket, keep: Keep) -> None:
    if store.count_unfinished_tasks(session, row.user) >= _MOST_UNFINISHED:
        raise TooManyRequests(f"{_MOST_UNFINISHED} of your tasks wait already.", retry_after_sec=10)
    store.add_one(session, row)
    keep(session, ticket)
