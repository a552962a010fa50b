"""Who watches over all daughters: starts those whose turn it is, sees that they live, ends those whose time is up.

One loop, rung awake by whoever changes something and by itself once a tick while any job is unfinished; without any it
waits for the bell and costs nothing. Rows are the truth: what runs here is only what an earlier look at them began. So
a start after `kill -9` is the same path as any other, except that the attempts it finds running are nobody's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.orm import Session

from config.db_schema.spawner import DaughterAttempt, DaughterTask
from config.errors import Unavailable, VX11Error
from config.logs import correlation_id
from spawner import lives, store, turns
from spawner.adapters.leftovers import Leftovers
from spawner.flows.desk import Desk
from spawner.flows.room import Room
from spawner.flows.running import Running, Try
from spawner.flows.settling import End, Settling, no_memory, no_space
from spawner.flows.slots import SlotWatch
from spawner.flows.telling import Telling
from spawner.lives import Wish
from spawner.orders import disk_mb_of

HEARTBEAT_SEC: Final = 10.0
STALE_SEC: Final = 30.0
_AGAIN_SEC: Final = 1.0
_LAST_WORDS_SEC: Final = 5.0  # for what is being settled when the service ends
_GIVEN_UP: Final = End("killed", "It was ended on demand.")
_INTERRUPTED: Final = End("interrupted", "Spawner ended while it ran; it was found dead when spawner came back.")
_STALE: Final = End("stale", f"It gave no sign of life for {STALE_SEC:g} s.")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Live:
    """A try of this process. `work` is the part of its `task` that may be given up: what follows it, writing how it
    ended, may not. `pid` is 0 until there is a process, and for tools. Why it is struck stands in its row."""

    run: Try
    task: asyncio.Task[None] | None = None
    work: asyncio.Task[End] | None = None
    pid: int = 0
    is_struck: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """The one loop, and what others may ask of it."""

    def __init__(
        self,
        desk: Desk,
        running: Running,
        settling: Settling,
        slots: SlotWatch,
        room: Room,
        *,
        leftovers: Leftovers | None = None,
        tick_sec: float = 1.0,
    ) -> None:
        self._desk = desk
        self._running = running
        self._settling = settling
        self._slots = slots
        self._room = room
        self._telling = Telling(desk)
        self._leftovers = leftovers or Leftovers()
        self._tick_sec = tick_sec
        self._live: dict[str, _Live] = {}
        self._bell = asyncio.Event()
        self._starting = asyncio.Lock()
        self._beaten_at = desk.house.clock.monotonic()

    @property
    def live_count(self) -> int:
        """Tries that run now."""
        return len(self._live)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the service lives: first find what an earlier process left. At the end every daughter ends with us;
        their rows stay as they are, for the next start to find."""
        await self._find_the_dead()
        loop = asyncio.create_task(self._watch(), name="supervisor")
        self.ring()
        try:
            yield
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)
            await self._let_go()

    async def _let_go(self) -> None:
        """Give up every try. One that is over already, and only has to be written down, is given the time for it: the
        next start would take it for interrupted, and do again what was done."""
        ending = [live.task for live in self._live.values() if live.task is not None]
        for live in self._live.values():
            if (giving_up := live.work or live.task) is not None:
                giving_up.cancel()
        if ending:
            await asyncio.wait(ending, timeout=_LAST_WORDS_SEC)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def ring(self) -> None:
        """Look now: something changed."""
        self._bell.set()

    async def end(self, spawn_id: str) -> None:
        """Strike a running job whose row says how it is to end, and wait until its rows say that it has."""
        live = await self._struck(spawn_id)
        if live is not None and live.task is not None:
            await asyncio.wait([live.task])

    async def doom(self, spawn_ids: list[str]) -> None:
        """The same without waiting for it."""
        for spawn_id in spawn_ids:
            await self._struck(spawn_id)

    async def _struck(self, spawn_id: str) -> _Live | None:
        async with self._starting:  # what is being started is waited for
            live = self._live.get(spawn_id)
        if live is not None:
            await self._strike(live)
        return live

    async def _strike(self, live: _Live) -> None:
        """Have a try end. One that has no process yet is struck by `begun`; a tool's call is given up, unless it is
        over already: then there is nothing to give up, and what it did is to be written down."""
        live.is_struck = True
        if live.run.task_type == "tool" and live.work is not None:
            live.work.cancel()
        elif live.pid:
            await self._desk.cage.kill(live.pid)

    async def _watch(self) -> None:
        """Hold the service awake while any job is unfinished, and look at each tick; else wait for the bell."""
        while True:
            await self._bell.wait()
            with self._desk.house.work.doing("jobs"):
                while await self._look():
                    await self._rest()

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._tick_sec):  # Python 3.11's wait_for may swallow the end of the service
                await self._bell.wait()

    async def _look(self) -> bool:
        """One look; whether any job is unfinished."""
        self._bell.clear()
        try:
            await self._end_what_is_over()
            await self._start_who_is_next()
            await self._feel_pulses()
            await self._telling.tell([live.run for live in self._live.values()])
            return await self._desk.house.db.reading(store.unfinished) > 0
        except Unavailable as error:
            _log.warning("spawner cannot look after its daughters for now: %s", error.detail)
        except Exception:  # border: the loop outlives its ticks
            _log.exception("a look at the daughters failed")
        await asyncio.sleep(_AGAIN_SEC)
        return True

    async def _end_what_is_over(self) -> None:
        """Jobs whose TTL has run out: those that wait by their rows, those that run by their process."""
        if await self._desk.house.db.reading(lambda session: bool(store.overdue(session, self._desk.now))):
            await self.doom(await self._desk.house.db.writing(self._expire))
        now = self._desk.now
        for live in list(self._live.values()):
            if live.run.expires_at <= now and not live.is_struck:
                await self._strike(live)

    def _expire(self, session: Session) -> list[str]:
        running: list[str] = []
        for job in store.overdue(session, self._desk.now):
            if job.status in ("PENDING", "RUNNING"):  # an earlier one of this loop may have taken it along
                end = End("timeout", f"Its {job.ttl_seconds} s were over before it was done.")
                running += self._settling.idle_ended(session, job, Wish.EXPIRE, end)
        return running

    async def _start_who_is_next(self) -> None:
        if not await self._desk.house.db.reading(lambda session: bool(store.startable(session, self._desk.now))):
            return
        slots = (await self._slots.now()).count
        if slots <= len(self._live):
            return
        means = await self._room.means(await self._desk.house.db.reading(self._queue))
        await self.doom(await self._desk.house.db.writing(self._refuse, means))
        async with self._starting:
            for run in await self._desk.house.db.writing(self._claim, slots, means):
                live = _Live(run)
                self._live[run.spawn_id] = live
                live.task = asyncio.create_task(self._run(live), name=run.spawn_id)

    def _queue(self, session: Session) -> list[turns.Waiting]:
        return [_waiting(job) for job in store.startable(session, self._desk.now)]

    def _refuse(self, session: Session, means: turns.Means) -> list[str]:
        """End the tries that could not begin if nobody ran beside them; the running jobs that must end with theirs."""
        also: list[str] = []
        for job in store.startable(session, self._desk.now):
            if job.status == "PENDING" and (lacks := means.why_never(_waiting(job))) is not None:
                end = no_memory(job, means) if lacks == "memory" else no_space(job, means)
                also += self._settling.attempt_ended(session, self._running.begin(session, job).attempt_id, end)
        return also

    def _claim(self, session: Session, slots: int, means: turns.Means) -> list[Try]:
        """Begin the tries of those whose turn it is, as rows."""
        startable = {job.spawn_id: job for job in store.startable(session, self._desk.now)}
        waiting = [_waiting(job) for job in startable.values() if job.user in means.disk_mb_of]
        busy = [_waiting(live.run) for live in self._live.values()]
        chosen = turns.next_up(waiting, busy, slots, means)
        return [self._running.begin(session, startable[spawn_id]) for spawn_id in chosen]

    async def _run(self, live: _Live) -> None:
        correlation_id.set(live.run.correlation_id)
        try:
            end = _GIVEN_UP if live.is_struck else await self._to_its_end(live)
            await self._settle(live, end)
        finally:
            self._live.pop(live.run.spawn_id, None)
            self.ring()

    async def _to_its_end(self, live: _Live) -> End:
        live.work = asyncio.create_task(self._running.to_its_end(live.run, lambda pid: _begun(live, pid)))
        pulse = asyncio.create_task(self._introduce(live))
        try:
            return await live.work
        except asyncio.CancelledError:
            if not live.is_struck:  # the service ends
                raise
            return _GIVEN_UP
        except Exception:  # border: a job must end in its row, whatever broke
            _log.exception("the daughter %s broke", live.run.spawn_id)
            return End("refused", "Something broke inside; the log has the rest.")
        finally:
            pulse.cancel()
            await asyncio.gather(pulse, return_exceptions=True)

    async def _introduce(self, live: _Live) -> None:
        """Once there is a process: note which, and strike it if its end was wished for meanwhile."""
        await live.begun.wait()
        if live.is_struck:
            await self._desk.cage.kill(live.pid)
        try:
            await self._desk.house.db.writing(self._running.wrote_pid, live.run.attempt_id, live.pid)
        except VX11Error as error:
            _log.warning("the pid of %s was not written: %s", live.run.spawn_id, error.detail)

    async def _settle(self, live: _Live, end: End) -> None:
        """Write how it ended, again and again while the database cannot take it (a full disk, mostly)."""
        write, attempt_id = self._desk.house.db.writing, live.run.attempt_id
        while True:
            try:
                also = await write(self._settling.attempt_ended, attempt_id, end)
            except VX11Error as obstacle:
                _log.error("the end of %s was not written: %s", live.run.spawn_id, obstacle.detail)
                await asyncio.sleep(_AGAIN_SEC)
            else:
                return await self.doom(also)

    async def _feel_pulses(self) -> None:
        """Every ten seconds a sign of life of each try that runs here; one that runs nowhere is dead."""
        now = self._desk.house.clock.monotonic()
        if now - self._beaten_at < HEARTBEAT_SEC:
            return
        self._beaten_at = now
        await self.doom(await self._desk.house.db.writing(self._beat, set(self._live)))

    def _beat(self, session: Session, alive: set[str]) -> list[str]:
        """Signs of life as rows; the running jobs that must end because another was found dead."""
        running = store.running_attempts(session)
        for attempt in running:
            if attempt.spawn_id in alive:
                attempt.heartbeat_at = self._desk.now
        dead = [one for one in running if lives.is_stale(one.heartbeat_at, self._desk.now, STALE_SEC)]
        return self._write_off(session, dead, _STALE)

    def _write_off(self, session: Session, dead: list[DaughterAttempt], end: End) -> list[str]:
        """Close attempts that are nobody's; the running jobs that must end with theirs."""
        also: list[str] = []
        for attempt in dead:
            _log.warning("%s of %s was found dead", attempt.attempt_id, attempt.spawn_id)
            also += self._settling.attempt_ended(session, attempt.attempt_id, end)
        return also

    async def _find_the_dead(self) -> None:
        """What an earlier process left running: no process of it may stay, and its rows shall say that it is dead."""
        left = await self._desk.house.db.reading(store.running_attempts)
        if not left:
            return
        folders = [self._desk.folders.of_attempt(attempt.spawn_id, attempt.number) for attempt in left]
        ended = await asyncio.to_thread(self._leftovers.end, [attempt.attempt_id for attempt in left], folders)
        _log.warning("%d attempts were left running; %d processes of theirs had to be ended", len(left), ended)
        await self._desk.house.db.writing(self._bury)

    def _bury(self, session: Session) -> None:
        self._write_off(session, store.running_attempts(session), _INTERRUPTED)


def _begun(live: _Live, pid: int) -> None:
    live.pid = pid
    live.begun.set()


def _waiting(job: DaughterTask | Try) -> turns.Waiting:
    """A job as turns are given; a tool runs no process, so it takes nothing of the machine."""
    if job.task_type == "tool":
        return turns.Waiting(job.spawn_id, job.user, job.workspace)
    disk_mb = disk_mb_of(job.limits, copies=job.dry_run)
    return turns.Waiting(job.spawn_id, job.user, job.workspace, job.limits["memory_mb"], disk_mb)
