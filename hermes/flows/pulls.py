"""Pulling models: one asyncio task per job, its row in `model_downloads` always telling how it stands.

A job survives its process: rows that were live when hermes ended are taken up again at start, and the tray on
the shelf holds what had arrived. What becomes of the tray: kept when the job was cancelled or the network failed
(pulling again continues), removed when the disk was full (a full disk stops the whole house) or the source is
no good; a file that is not what it should be goes into quarantine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from config.auth import Caller, Role
from config.contracts.base import Page
from config.contracts.models import LIVE_STATES, DownloadJob, ModelPull
from config.db_schema.base import new_id
from config.db_schema.hermes import LocalModelV2, ModelDownload
from config.errors import Conflict, Internal, NotFound, VX11Error
from config.idempotency import Keep
from config.logs import correlation_id
from config.paging import cut, decode_cursor
from hermes import store
from hermes.adapters.work import JobWork, Stopped
from hermes.flows.arrival import Arrival
from hermes.flows.desk import Desk
from hermes.meter import Meter, Reading
from hermes.orders import Order, order_for, order_of
from hermes.rows import error_on_row, job_on_wire
from hermes.sources import shown

_CLOSE_AGAIN_SEC: Final = 5.0
_EVENT_EVERY_TICKS: Final = 10  # where percents are not known, or creep
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Live:
    """A job of this process."""

    order: Order
    work: JobWork
    task: asyncio.Task[None] | None = None
    cancelled: bool = False


class Pulls:
    """The download jobs of hermes."""

    def __init__(self, desk: Desk, arrival: Arrival, *, tick_sec: float = 1.0) -> None:
        self._desk = desk
        self._house = desk.house
        self._arrival = arrival
        self._tick_sec = tick_sec
        self._slots = asyncio.Semaphore(desk.house.settings.hermes.parallel_downloads)
        self._live: dict[str, _Live] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the service lives: first take up what was interrupted; at the end let go, rows stay live."""
        for row in await self._house.db.writing(self._take_up):
            self._start(row)
        try:
            yield
        finally:
            await self._let_go()

    @property
    def live_count(self) -> int:
        """Jobs that wait or run."""
        return len(self._live)

    async def pull(self, caller: Caller, request: ModelPull, keep: Keep | None = None) -> DownloadJob:
        """Start a job, or give the one that is bringing the same file already; done at once if it is here.

        `keep` is given the answer in the write that makes the job.
        """
        order = order_for(request, self._desk.catalogue)
        row, is_new = await self._house.db.writing(self._kept, caller, order, keep)
        if is_new and row.state == "PENDING":
            self._start(row)
        return job_on_wire(row)

    async def job(self, caller: Caller, job_id: str) -> DownloadJob:
        """A job as it stands; NotFound for one that is not there or is not the caller's to see."""
        return job_on_wire(await self._house.db.reading(_visible, caller, job_id))

    async def jobs(self, caller: Caller, limit: int, cursor: str | None) -> Page[DownloadJob]:
        """The caller's jobs, or everybody's for an operator."""
        rows = await self._house.db.reading(store.jobs_page, limit, decode_cursor(cursor), _only_of(caller))
        page, following = cut(rows, limit, lambda row: (row.created_at, row.job_id))
        return Page(items=[job_on_wire(row) for row in page], next_cursor=following)

    async def cancel(self, caller: Caller, job_id: str) -> DownloadJob:
        """Stop a job; what has arrived is kept for another pull. A job that has ended is given as it is."""
        row = await self._house.db.reading(_visible, caller, job_id)
        live = self._live.get(job_id)
        if live is not None and live.task is not None:
            live.cancelled = True
            await _stop(live)
            row = await self._house.db.reading(_visible, caller, job_id)
        if row.state not in (*LIVE_STATES, "CANCELLED"):
            raise Conflict(f"The job has ended already: {row.state}.")
        return job_on_wire(row)

    def _kept(self, session: Session, caller: Caller, order: Order, keep: Keep | None) -> tuple[ModelDownload, bool]:
        row, is_new = self._open(session, caller, order)
        if keep is not None:
            keep(session, job_on_wire(row))
        return row, is_new

    def _open(self, session: Session, caller: Caller, order: Order) -> tuple[ModelDownload, bool]:
        """The row for an order, and whether it is new."""
        for job in store.live_jobs(session):
            if job.source == str(order.source):
                ensure_same_file(job, order)
                return job, False
            if job.name == order.name:
                raise Conflict(f"{order.name!r} is being downloaded from another source (job {job.job_id}).")
        here = store.model_named(session, order.name)
        done = here is not None and here.compatibility != "missing"
        if here is not None and done:
            ensure_is_the_same(here, order)
        job = self._new_row(caller, order)
        if here is not None and done:
            _finish(job, "DONE", self._desk)
            job.bytes_done = job.bytes_total = here.size_bytes
        session.add(job)
        detail = {"source": shown(str(order.source)), "sha256": order.expected.sha256, "job_id": job.job_id}
        self._desk.note(session, caller, "model.pull", order.name, detail)
        self._desk.tell_job(session, "job.done" if done else "job.pending", job)
        return job, True

    def _new_row(self, caller: Caller, order: Order) -> ModelDownload:
        return ModelDownload(
            job_id=new_id("pull"),
            name=order.name,
            source=str(order.source),
            revision=order.revision,
            expected_sha256=order.expected.sha256,
            force=order.force,
            state="PENDING",
            phase="queued",
            bytes_done=0,
            bytes_total=order.expected.download_bytes or order.expected.size_bytes,
            requested_by=caller.user,
            correlation_id=correlation_id.get(),
            created_at=self._desk.now,
        )

    def _take_up(self, session: Session) -> list[ModelDownload]:
        """The jobs that an earlier process left, waiting again."""
        rows = store.live_jobs(session)
        for row in rows:
            row.state, row.phase = "PENDING", "queued"
            self._desk.tell_job(session, "job.pending", row)
        return rows

    def _start(self, row: ModelDownload) -> None:
        clock = self._house.clock
        order = order_of(row.name, row.source, None, row.expected_sha256, self._desk.catalogue, force=row.force)
        live = _Live(order, JobWork(Meter(clock.monotonic()), clock.monotonic))
        self._live[row.job_id] = live
        live.task = asyncio.create_task(self._run(row.job_id, row.correlation_id, live), name=row.job_id)

    async def _let_go(self) -> None:
        await asyncio.gather(*[_stop(live) for live in self._live.values()])

    async def _run(self, job_id: str, correlation: str, live: _Live) -> None:
        correlation_id.set(correlation)
        try:
            with self._house.work.doing("download"):
                async with self._slots:
                    await self._house.db.writing(self._begin, job_id)
                    async with self._ticking(job_id, live.work.meter):
                        await self._arrival.bring(live.order, live.work)
                await self._close(job_id, "DONE", live, None)
        except (asyncio.CancelledError, Stopped):
            if live.cancelled:
                await self._close(job_id, "CANCELLED", live, None)
        except VX11Error as error:
            await self._close(job_id, "ERROR", live, error)
        except Exception:  # border: a job must end in its row, whatever broke
            _log.exception("download job %s broke", job_id)
            await self._close(job_id, "ERROR", live, Internal("Something broke inside; the log has the rest."))
        finally:
            self._live.pop(job_id, None)

    async def _close(self, job_id: str, state: str, live: _Live, error: VX11Error | None) -> None:
        """Write a job's end, again and again while the database cannot take it (a full disk, mostly)."""
        while True:
            try:
                await self._house.db.writing(self._end, job_id, state, live.work.meter, error)
            except VX11Error as obstacle:
                _log.error("the end of %s was not written: %s", job_id, obstacle.detail)
                await asyncio.sleep(_CLOSE_AGAIN_SEC)
            else:
                return

    def _begin(self, session: Session, job_id: str) -> None:
        row = _existing(session, job_id)
        if row.finished_at is not None:
            return
        row.state, row.phase = "RUNNING", "downloading"
        row.started_at = row.started_at or self._desk.now
        self._desk.tell_job(session, "job.running", row)

    def _end(self, session: Session, job_id: str, state: str, meter: Meter, error: VX11Error | None) -> None:
        row = _existing(session, job_id)
        if row.finished_at is not None:  # it ended while its cancelling was on the way
            return
        _show(row, meter.tick(self._house.clock.monotonic()))
        row.error = None if error is None else error_on_row(error)
        _finish(row, state, self._desk)
        if state == "DONE":
            here = store.model_named(session, row.name)
            row.bytes_done = row.bytes_total = here.size_bytes if here else row.bytes_done
        self._desk.tell_job(session, f"job.{state.lower()}", row, severity="error" if error else "info")

    @asynccontextmanager
    async def _ticking(self, job_id: str, meter: Meter) -> AsyncIterator[None]:
        ticker = asyncio.create_task(self._tick(job_id, meter))
        try:
            yield
        finally:
            ticker.cancel()
            await asyncio.wait([ticker])

    async def _tick(self, job_id: str, meter: Meter) -> None:
        """Write the meter into the row now and then; as an event only when there is news."""
        told: tuple[str, int | None] | None = None
        ticks = 0
        while True:
            await asyncio.sleep(self._tick_sec)
            reading = meter.tick(self._house.clock.monotonic())
            news = (reading.phase, reading.percent)
            ticks += 1
            tells = news != told or ticks >= _EVENT_EVERY_TICKS
            if tells:
                told, ticks = news, 0
            try:
                await self._house.db.writing(self._progress, job_id, reading, tells)
            except VX11Error as error:
                _log.warning("progress of %s was not written: %s", job_id, error.detail)

    def _progress(self, session: Session, job_id: str, reading: Reading, tells: bool) -> None:
        row = _existing(session, job_id)
        if row.finished_at is not None:  # this tick was overtaken by the job's end
            return
        _show(row, reading)
        if tells:
            self._desk.tell_job(session, "job.progress", row)


async def _stop(live: _Live) -> None:
    """End a job's task and wait for it; one that is moving its verified file into place may finish that."""
    if live.task is None:
        return
    if not live.work.settling:
        live.work.stop()
        live.task.cancel()
    await asyncio.wait([live.task])


def _show(row: ModelDownload, reading: Reading) -> None:
    row.phase, row.bytes_done, row.rate_bytes_sec = reading.phase, reading.done, reading.rate
    row.bytes_total = reading.total


def _finish(row: ModelDownload, state: str, desk: Desk) -> None:
    row.state, row.finished_at = state, desk.now
    if state == "DONE":
        row.phase = "finished"


def _existing(session: Session, job_id: str) -> ModelDownload:
    row = store.job_with_id(session, job_id)
    if row is None:
        raise NotFound(f"There is no job {job_id!r}.")
    return row


def _visible(session: Session, caller: Caller, job_id: str) -> ModelDownload:
    row = _existing(session, job_id)
    if _only_of(caller) not in (None, row.requested_by):
        raise NotFound(f"There is no job {job_id!r}.")
    return row


def _only_of(caller: Caller) -> str | None:
    """Whose jobs a caller sees: a user their own, everybody else all."""
    return caller.user if caller.role is Role.USER else None


def ensure_same_file(job: ModelDownload, order: Order) -> None:
    """Conflict where a live job promises another file of the same source."""
    if order.expected.sha256 not in (None, job.expected_sha256):
        raise Conflict(f"Job {job.job_id} is fetching this source with another sha256, or none.")


def ensure_is_the_same(here: LocalModelV2, order: Order) -> None:
    """Conflict unless the registered model is what is ordered."""
    wanted = order.expected.sha256
    same = here.sha256 == wanted if wanted else here.meta_info.get("source") == str(order.source)
    if not same:
        raise Conflict(
            f"There is another model called {order.name!r} here.",
            hint=f"DELETE /hermes/models/{order.name} first, or pull under another name.",
        )
