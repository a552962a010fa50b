"""Who watches over all daughters: starts those whose turn it is, sees that they live, ends those whose time is up.

One loop, rung awake by whoever changes something and by itself once a tick while any job is unfinished; without any it
waits for the bell and costs nothing. Rows are the truth: what runs here is only what an earlier look at them began. So
a start after `kill -9` is the same path as any other, except that the attempts it finds running are nobody's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.orm import Session

from config.db_schema.spawner import DaughterAttempt, DaughterTask
from config.errors import Unavailable, VX11Error
from config.logs import correlation_id
from spawner import lives, store, turns
from spawner.adapters.leftovers import Leftovers
from spawner.flows.desk import Desk
from spawner.flows.running import Running, Try
from spawner.flows.settling import End, Settling
from spawner.flows.slots import SlotWatch
from spawner.flows.telling import Telling
from spawner.lives import Wish

HEARTBEAT_SEC: Final = 10.0
STALE_SEC: Final = 30.0
_AGAIN_SEC: Final = 1.0
_INTERRUPTED: Final = End("interrupted", "Spawner ended while it ran; it was found dead when spawner came back.")
_STALE: Final = End("stale", f"It gave no sign of life for {STALE_SEC:g} s.")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Live:
    """A try of this process. `pid` is 0 until there is a process, and for tools."""

    run: Try
    task: asyncio.Task[None] | None = None
    pid: int = 0
    wish: Wish | None = None
    end: End | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """The one loop, and what others may ask of it."""

    def __init__(
        self,
        desk: Desk,
        running: Running,
        settling: Settling,
        slots: SlotWatch,
        *,
        leftovers: Leftovers | None = None,
        tick_sec: float = 1.0,
    ) -> None:
        self._desk = desk
        self._running = running
        self._settling = settling
        self._slots = slots
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
            ending = [loop, *(live.task for live in self._live.values() if live.task)]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    def ring(self) -> None:
        """Look now: something changed."""
        self._bell.set()

    async def end(self, spawn_id: str, wish: Wish, end: End | None = None) -> None:
        """End a running job, and wait until its rows say so. `end` are the words for it, if it is not the verdict's."""
        async with self._starting:  # what is being started is waited for
            live = self._live.get(spawn_id)
        if live is None or live.task is None:
            return
        live.wish, live.end = live.wish or wish, live.end or end
        await self._strike(live)
        await asyncio.wait([live.task])

    async def _strike(self, live: _Live) -> None:
        """Have a try end. One that has no process yet is struck by `begun`; a tool's call is given up."""
        if live.run.task_type == "tool" and live.task is not None:
            live.task.cancel()
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
        try:
            await asyncio.wait_for(self._bell.wait(), self._tick_sec)
        except TimeoutError:
            pass

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
            if live.run.expires_at <= now and live.wish is None:
                live.wish = Wish.EXPIRE
                await self._strike(live)

    def _expire(self, session: Session) -> list[str]:
        running: list[str] = []
        for job in store.overdue(session, self._desk.now):
            if job.status in ("PENDING", "RUNNING"):  # an earlier one of this loop may have taken it along
                end = End("timeout", f"Its {job.ttl_seconds} s were over before it was done.")
                running += self._settling.idle_ended(session, job, Wish.EXPIRE, end)
        return running

    async def doom(self, spawn_ids: list[str]) -> None:
        """Have running jobs killed, without waiting for it."""
        for spawn_id in spawn_ids:
            if (live := self._live.get(spawn_id)) is not None:
                live.wish = live.wish or Wish.KILL
                await self._strike(live)

    async def _start_who_is_next(self) -> None:
        if not await self._desk.house.db.reading(lambda session: bool(store.startable(session, self._desk.now))):
            return
        slots = (await self._slots.now()).count
        if slots <= len(self._live):
            return
        async with self._starting:
            for run in await self._desk.house.db.writing(self._claim, slots):
                live = _Live(run)
                self._live[run.spawn_id] = live
                live.task = asyncio.create_task(self._run(live), name=run.spawn_id)

    def _claim(self, session: Session, slots: int) -> list[Try]:
        """Begin the tries of those whose turn it is, as rows."""
        startable = {job.spawn_id: job for job in store.startable(session, self._desk.now)}
        busy = [turns.Waiting(live.run.spawn_id, live.run.user, live.run.workspace) for live in self._live.values()]
        chosen = turns.next_up([_waiting(job) for job in startable.values()], busy, slots)
        return [self._running.begin(session, startable[spawn_id]) for spawn_id in chosen]

    async def _run(self, live: _Live) -> None:
        correlation_id.set(live.run.correlation_id)
        try:
            end = await self._to_its_end(live)
            await self._settle(live, end)
        finally:
            self._live.pop(live.run.spawn_id, None)
            self.ring()

    async def _to_its_end(self, live: _Live) -> End:
        pulse = asyncio.get_running_loop().create_task(self._introduce(live))
        try:
            return await self._running.to_its_end(live.run, lambda pid: _begun(live, pid))
        except asyncio.CancelledError:
            if live.wish is None:  # the service ends
                raise
            return End("killed", "It was ended on demand.")
        except Exception:  # border: a job must end in its row, whatever broke
            _log.exception("the daughter %s broke", live.run.spawn_id)
            return End("refused", "Something broke inside; the log has the rest.")
        finally:
            pulse.cancel()
            await asyncio.gather(pulse, return_exceptions=True)

    async def _introduce(self, live: _Live) -> None:
        """Once there is a process: note which, and strike it if its end was wished for meanwhile."""
        await live.begun.wait()
        if live.wish is not None:
            await self._desk.cage.kill(live.pid)
        try:
            await self._desk.house.db.writing(self._running.wrote_pid, live.run.attempt_id, live.pid)
        except VX11Error as error:
            _log.warning("the pid of %s was not written: %s", live.run.spawn_id, error.detail)

    async def _settle(self, live: _Live, verdict: End) -> None:
        """Write how it ended, again and again while the database cannot take it (a full disk, mostly)."""
        write, attempt_id, end = self._desk.house.db.writing, live.run.attempt_id, live.end or verdict
        while True:
            try:
                await self.doom(await write(self._settling.attempt_ended, attempt_id, end, live.wish))
            except VX11Error as obstacle:
                _log.error("the end of %s was not written: %s", live.run.spawn_id, obstacle.detail)
                await asyncio.sleep(_AGAIN_SEC)
            else:
                return

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
            also += self._settling.attempt_ended(session, attempt.attempt_id, end, None)
        for spawn_id in also:
            job = store.job(session, spawn_id)
            if job is not None and job.status == "PENDING":  # it was found dead too, and would be tried again
                self._settling.idle_ended(session, job, Wish.KILL, end)
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


def _waiting(job: DaughterTask) -> turns.Waiting:
    return turns.Waiting(job.spawn_id, job.user, job.workspace)
