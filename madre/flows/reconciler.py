"""The one loop that acts: looks, compares with what should be, does the difference, tells who waits.

It is level-triggered: every tick starts from the database and the driver, so an expired window, a crash, a
service started by hand and a restart of madre are all the same case. Ticks follow each other quickly
while something is on its way up or down, and at the set interval else; a change in the database or a
word of the driver brings the next one forward.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from config.app import House, task
from config.contracts.power import Policy
from config.errors import StartFailed, Unavailable
from config.services import FLEET
from madre import lives, reconcile, windows
from madre.clients import Watched
from madre.desired import Reasons, desired
from madre.drivers import Driver
from madre.flows.record import Record
from madre.lives import Life
from madre.store import power as store
from madre.windows import Window

_IN_FLUX_SEC = 0.025
_IN_FLUX_MAX_SEC = 0.1
_IN_FLUX_SHARE = 0.1
_CLOCK_SET_SEC = 1.0  # what the wall clock may differ from measured time between two ticks before it was set
_LOOK_AGAIN_SEC = 5.0
_SILENT_MAX = 30  # looks at a service that does not say whether it is at work, before it counts as idle
_log = logging.getLogger(__name__)
Known = Mapping[str, Life]


class Reconciler:
    """What is known of every service, and the loop that keeps it true."""

    def __init__(self, house: House, driver: Driver) -> None:
        self.driver = driver
        self._house = house
        self._watched = Watched(house.clients)
        self._record = Record(house, driver)
        self._names = house.present
        self._lives: dict[str, Life] = {}
        self._picture: Known = {}  # the lives as the last whole tick left them, with all that follows from them written
        self._asked_at: dict[str, float] = {}
        self._read_clock = (house.clock.now(), house.clock.monotonic())
        self._silent: dict[str, int] = {}
        self._forgiven: set[str] = set()
        self._restarting: set[str] = set()
        self.left_alone: frozenset[str] = frozenset()
        self.live: frozenset[str] = frozenset()  # the windows that were not over when the last whole tick ended
        self.is_blind = False  # what runs the services does not answer: the picture is an old one
        self._is_ending = False
        self._begun = 0
        self._done = 0
        self._nudged = asyncio.Event()
        self._ticked = asyncio.Condition()

    @property
    def known(self) -> Known:
        """The last picture of every service that is present."""
        return dict(self._lives)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Reconcile while the block runs."""
        restarts = await self._house.db.reading(store.restarts)
        now = self._house.clock.now()
        self._read_clock = (now, self._house.clock.monotonic())
        self._lives = {name: lives.asleep(now, restarts=restarts.get(name, 0)) for name in self._names}
        self._is_ending = False
        loop = asyncio.create_task(self._loop(), name="reconciler")
        try:
            async with task(self._listen(), name="driver events"):
                yield
        finally:
            self._is_ending = True
            self._nudged.set()
            await loop  # not cancelled: an act and its row belong together

    def forgive(self, services: Iterable[str]) -> None:
        """Failures of these no longer count. To be said before the row is written that wants them up: a tick that
        sees the row then knows of it, and no new window pays for an old failure."""
        self._forgiven.update(services)

    def nudge(self, *, restart: Iterable[str] = ()) -> int:
        """Look now; the number of the first tick that will know of this.

        What runs of `restart` is stopped once, and comes back if held.
        """
        self._restarting.update(restart)
        self._nudged.set()
        return self._begun + 1

    async def until(self, holds: Callable[[Known], bool], *, tick: int, within_sec: float) -> bool:
        """Whether `holds` became true of a picture as of tick `tick` or later, within the time given."""
        try:
            async with asyncio.timeout(within_sec), self._ticked:
                await self._ticked.wait_for(lambda: self._done >= tick and holds(self._picture))
        except TimeoutError:
            return False
        return True

    async def _listen(self) -> None:
        async for _service in self.driver.events():
            self._nudged.set()

    async def _loop(self) -> None:
        while not self._is_ending:
            pause = self._house.settings.power.windows_ttl_check_interval
            try:
                pause = await self._tick()
                self.is_blind = False
            except Unavailable as error:
                if not self.is_blind:
                    _log.warning("nothing can be seen or done: %s", error.detail)
                self.is_blind = True
            except Exception:  # border: the loop outlives a tick that failed; the next one starts from the truth
                _log.exception("a reconciler tick failed")
            try:
                async with asyncio.timeout(pause):
                    await self._nudged.wait()
            except TimeoutError:
                continue
            self._nudged.clear()

    async def _tick(self) -> float:
        """One turn; seconds until the next one is due."""
        self._begun += 1
        number = self._begun
        self._follow_clock()
        policy, held = await self._house.db.reading(self._read)
        self._count_forgiven()
        await self._look()
        reasons = desired(policy, held, self._names)
        busy = await self._busy(reasons, held)
        held = await self._move_windows(held, reasons, busy)
        reasons = desired(policy, held, self._names)
        core_mode = self._house.settings.power.windows_core_mode
        acts = reconcile.acts(reasons, self._lives, busy, self._house.clock.now(), core_mode=core_mode)
        await self._do_all(self._restarts())
        await self._do_all(acts)
        if any(self._lives[act.service].is_hopeless for act in acts):  # who waits for its windows is told in this tick
            held = await self._move_windows(held, reasons, busy)
        self.left_alone = frozenset(act.service for act in acts if act.kind == "leave")
        await self._record.flush(self._lives)
        async with self._ticked:
            self._done, self._picture = number, dict(self._lives)
            self.live = frozenset(window.window_id for window in held if not window.is_over)
            self._ticked.notify_all()
        return self._pause(held)

    def _read(self, session: Session) -> tuple[Policy, list[Window]]:
        return store.policy(session) or self._house.settings.power.policy, store.live_windows(session)

    def _follow_clock(self) -> None:
        """When somebody set the clock, lives keep their spans: nothing is overdue for it, no pause takes longer.

        Windows do not: their deadlines are moments that people were told.
        """
        before, self._read_clock = self._read_clock, (self._house.clock.now(), self._house.clock.monotonic())
        jump = self._read_clock[0] - before[0] - timedelta(seconds=self._read_clock[1] - before[1])
        if abs(jump.total_seconds()) > _CLOCK_SET_SEC:
            _log.warning("the clock was set by %+.1f s", jump.total_seconds())
            self._lives = {name: lives.shifted(life, jump) for name, life in self._lives.items()}

    def _count_forgiven(self) -> None:
        for service in self._forgiven:
            self._lives[service] = lives.forgiven(self._lives[service])
        self._forgiven.clear()

    async def _look(self) -> None:
        """Ask the driver what runs, and those that run whether they are ready."""
        seen = await self.driver.observe()
        now = self._house.clock.now()
        for name in self._names:
            self._note(name, *lives.observed(self._lives[name], seen.get(name), now))
        told = {name: running.ready for name, running in seen.items() if running.ready is not None}
        asked = [name for name, life in self._lives.items() if life.is_up and name not in told and self._must_ask(name)]
        answers = await asyncio.gather(*(self._watched.is_ready(name) for name in asked))
        now = self._house.clock.now()
        self._asked_at.update(dict.fromkeys(asked, self._house.clock.monotonic()))
        for name, ready in (*told.items(), *zip(asked, answers, strict=True)):
            if name in self._lives:
                self._note(name, *lives.answered(self._lives[name], ready, now))
        await self._give_up_on_overdue(now)

    def _must_ask(self, name: str) -> bool:
        if self._lives[name].state == "starting" or name not in self._asked_at:
            return True
        return self._house.clock.monotonic() - self._asked_at[name] >= _LOOK_AGAIN_SEC

    async def _give_up_on_overdue(self, now: datetime) -> None:
        timeout_sec = self._house.settings.power.windows_timeout_sec
        for name, life in self._lives.items():
            if FLEET[name].sleeps and lives.overdue(life, now, timeout_sec):
                await self.driver.stop(name)
                self._lives[name] = lives.given_up(life, now)
                self._record.act("stop", name, f"not ready within {timeout_sec:g} s", "ok")

    def _note(self, name: str, life: Life, fact: lives.Fact | None) -> None:
        before, self._lives[name] = self._lives[name], life
        if fact is not None:
            self._record.fact(fact, name, before, life)

    async def _busy(self, reasons: Reasons, held: list[Window]) -> frozenset[str]:
        """Of the services that are about to lose what holds them, those that are in the middle of something."""
        now = self._house.clock.now()
        ending = {name for window in held if self._is_due(window, now) for name in window.services}
        asked = [
            name
            for name in {*reconcile.surplus(reasons, self._lives), *ending}
            if name in self._lives and self._lives[name].is_up and self._lives[name].state != "starting"
        ]
        if self.driver.simulated:
            return frozenset()
        answers = await asyncio.gather(*(self._watched.work_in_progress(name) for name in asked))
        return frozenset(name for name, work in zip(asked, answers, strict=True) if self._is_busy(name, work))

    def _is_busy(self, name: str, work: int | None) -> bool:
        """A service that does not say is taken to be at work, but not for ever."""
        self._silent[name] = self._silent.get(name, 0) + 1 if work is None else 0
        return work > 0 if work is not None else self._silent[name] <= _SILENT_MAX

    async def _move_windows(self, held: list[Window], reasons: Reasons, busy: frozenset[str]) -> list[Window]:
        now = self._house.clock.now()
        moved = []
        for window in held:
            after = self._moved(window, reasons, busy, now)
            if after.state == "error" != window.state:
                after = await self._with_last_words(after)
            moved.append(after)
        changes = [(before, after) for before, after in zip(held, moved, strict=True) if before != after]
        if changes:
            moved = await self._record.windows(changes, moved)
        return moved

    def _moved(self, window: Window, reasons: Reasons, busy: frozenset[str], now: datetime) -> Window:
        known = {name: self._lives[name] for name in window.services if name in self._lives}
        if window.state == "closing":
            left = [
                name for name, life in known.items() if life.state in (*lives.UP, "stopping") and name not in reasons
            ]
            return window if left else windows.closed(window, now)
        hopeless = [name for name, life in known.items() if life.is_hopeless]
        if hopeless:
            return windows.failed(window, f"{', '.join(sorted(hopeless))} would not stay up.", now)
        if self._is_due(window, now):
            return windows.at_deadline(window, busy, now)
        if len(known) == len(window.services) and all(life.state == "ready" for life in known.values()):
            return windows.opened(window, now)
        return window

    def _is_due(self, window: Window, now: datetime) -> bool:
        return windows.is_due(window, now, 2 * self._house.settings.power.windows_timeout_sec)

    async def _with_last_words(self, window: Window) -> Window:
        hopeless = [name for name in window.services if name in self._lives and self._lives[name].is_hopeless]
        said = [await self.driver.last_words(name) for name in hopeless]
        return windows.with_last_words(window, "\n".join(said))

    def _restarts(self) -> list[reconcile.Act]:
        """Stopping what is to be restarted; once it is gone, what holds it starts it again."""
        wanted, self._restarting = self._restarting, set()
        return [reconcile.Act("stop", name, "to be restarted") for name in wanted if self._lives[name].is_up]

    async def _do_all(self, acts: Iterable[reconcile.Act]) -> None:
        """All at once: they are about different services, and a driver may be quicker with many than with each.

        None once madre is told to end: what stops now is being stopped with her.
        """
        if self._house.is_ending:
            return
        outcomes = await asyncio.gather(*(self._do(act) for act in acts), return_exceptions=True)
        for failure in outcomes:
            if failure is not None:
                raise failure

    async def _do(self, act: reconcile.Act) -> None:
        now, life = self._house.clock.now(), self._lives[act.service]
        if act.kind == "leave" or (act.kind == "stop" and not life.is_up):
            return
        if act.kind == "stop":
            await self.driver.stop(act.service)
            self._lives[act.service] = lives.told_to_stop(life, now)
            self._record.act("stop", act.service, act.reason, "ok")
            return
        try:
            await self.driver.start(act.service)
            self._lives[act.service] = lives.ordered(life, now)
            self._record.act("start", act.service, act.reason, "ok")
        except StartFailed as error:
            self._lives[act.service], _ = lives.after_failure(life, now)
            self._record.act("start", act.service, act.reason, "failed", error=error.detail)
        except Unavailable:  # what runs the services is closing or silent: no failure of the service
            _log.warning("%s cannot be started now", act.service)

    def _pause(self, held: list[Window]) -> float:
        """Seconds to the next tick: few while something is in flux, else up to the next deadline, retry or interval."""
        power, now = self._house.settings.power, self._house.clock.now()
        moving = [now - life.since for life in self._lives.values() if life.state in ("starting", "stopping")]
        if moving:  # a look takes CPU from what is starting: what has taken long already is looked at less often
            return min(_IN_FLUX_MAX_SEC, max(_IN_FLUX_SEC, min(moving).total_seconds() * _IN_FLUX_SHARE))
        moments = [window.deadline for window in held if window.holds and window.mode == "ttl"]
        moments += [life.try_at for life in self._lives.values() if life.try_at is not None and life.try_at > now]
        nearest = min(((moment - now).total_seconds() for moment in moments), default=power.windows_ttl_check_interval)
        return min(power.windows_ttl_check_interval, max(_IN_FLUX_SEC, nearest))
