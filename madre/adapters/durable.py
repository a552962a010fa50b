"""Plans on DBOS: a workflow for each plan that is in hand; what is done of it, the plan's own rows say.

DBOS lives in threads and in a database of its own: on SQLite a file beside the house's, in WAL and with the house's
own driver, because it would take the standard library's in a rollback journal; on PostgreSQL the schema `dbos`. It is
imported and launched when there is a plan to run or one to resume, and let go again when nothing has run for a while.

What it is for is what is hard to get right: which plan is whose, taking up what a dead process had in hand, giving up
on what kills every process. A step is no step of DBOS's: it would be recorded a second time, in another database than
its effect and at the price of one more commit, for something that its row says already.

What is set here and is not DBOS's default: JSON instead of pickle, because rows of a database are not to be trusted
with code; a fixed executor and version, because recovery looks for exactly these, and the version would be a hash of
sources. The asynchronous half of its interface is never used: it makes DBOS's thread pool the default one of the
caller's event loop. All that is asked of it is asked by one thread of ours, so that launching, starting and letting go
cannot meet.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sqlalchemy import Engine, create_engine, event, make_url

from config.app import every, task
from config.sqlite import sqlite_module, wal_is_safe
from madre.runner import Interrupted, Next, Work

if TYPE_CHECKING:
    from dbos import DBOSConfig, WorkflowStatus

_NAME = "vx11-madre"
_EXECUTOR = "madre"
_VERSION = "plans-1"  # of `_carry_out`: a change in what its calls are, and in their order, is another version
_LIVES_MAX = 100  # a plan that madre died of so often is not tried again
_ENDED = "SUCCESS"
_IN_HAND = ("PENDING", "ENQUEUED", "DELAYED")
_THREADS = 256  # plans that run at once; one that waits for its hour is in nobody's hand
_CONNECTIONS = 4
_LISTEN_EVERY_SEC = 0.5  # how long closing waits for DBOS's listener, which has nothing to listen to here
_REST_AFTER_SEC = 300.0
_LOOK_EVERY_SEC = 30.0  # for plans to run, besides being told: for what could not be started, or whose hour has come
_LOOK_AGAIN_SEC = 1.0  # at what DBOS has in hand and has not begun
_FORGOTTEN_AT_ONCE = 1000
_ENDING_SEC = 10.0
_BUSY_TIMEOUT_MS = 30_000
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Durable:
    """The runner of plans. There is one DBOS in a process, so one of these is launched at a time."""

    launched: ClassVar[Durable | None] = None

    def __init__(self, database_url: str, work: Work, *, rest_after_sec: float = _REST_AFTER_SEC) -> None:
        self._url = own_url(database_url)
        self._work = work
        self._rest_after_sec = rest_after_sec
        self._hand = ThreadPoolExecutor(1, "plans")
        self._bell = asyncio.Event()
        self._engine: Engine | None = None
        self._running: set[str] = set()
        self._quiet_rounds = 0
        self._is_closed = True

    @property
    def is_launched(self) -> bool:
        """Whether DBOS is up."""
        return Durable.launched is self

    def in_hand(self) -> frozenset[str]:
        """The plans that threads are at work on."""
        return frozenset(self._running)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run plans while the block runs, those that an earlier life left unfinished first."""
        self._is_closed = False
        try:
            async with (
                task(self._watch(), name="plans to run"),
                every(self._rest_after_sec / 2, self.rest, name="rest of the plans")(),
            ):
                try:
                    yield
                finally:
                    self._is_closed = True
                    self._work.interrupt()
                    await self._by_hand(self._close)
        finally:
            self._hand.shutdown(wait=False)

    def prepare(self) -> None:
        """Have DBOS launched while somebody reads the plan that they are to confirm: the first time takes a second."""
        if not self.is_launched and not self._is_closed:
            self._hand.submit(self._prepare)

    async def start(self, plan_id: str) -> None:
        """Have the plan run: its row says so, and the watch looks now."""
        self._bell.set()

    async def cancel(self, plan_id: str) -> None:
        """Have no further step of the plan begin, and cut short the one that is under way."""
        await asyncio.to_thread(self._work.cancel, plan_id)
        self._bell.set()

    async def _by_hand(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._hand, act)

    async def _watch(self) -> None:
        """Take up what is to run: at birth, whenever the bell rings, when a plan's hour has come, and now and then."""
        while True:
            self._bell.clear()
            try:
                pause = await self._by_hand(self._take_up)
            except Exception:  # border: one failed look must not be the last
                _log.exception("plans could not be taken up")
                pause = _LOOK_EVERY_SEC
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):  # Python 3.11's `wait_for` may lose a cancel that meets the bell
                    await self._bell.wait()

    def _take_up(self) -> float:
        """Have all that is to run now run; the seconds until the next look."""
        pause = _LOOK_EVERY_SEC
        due = []
        for plan_id, later_sec in self._work.to_run().items():
            if later_sec > 0:
                pause = min(pause, later_sec)
            elif plan_id not in self._running:
                due.append(plan_id)
        if not due or self._is_closed:
            return pause
        self._launch()
        known = _known_to_dbos(due)
        in_hand_already = [self._is_in_hand_already(plan_id, known.get(plan_id)) for plan_id in due]
        return min(pause, _LOOK_AGAIN_SEC) if any(in_hand_already) else pause

    def _is_in_hand_already(self, plan_id: str, known: WorkflowStatus | None) -> bool:
        """Have the plan run; whether DBOS had it in hand already, and will begin it, or is just about to let it go."""
        if self._is_closed:  # the end may come between two of many
            return False
        if known is not None and known.status in _IN_HAND:
            if known.app_version != _VERSION:
                self._work.abandon(plan_id, f"it was begun by another version of madre ({known.app_version})")
            return True
        if known is not None and known.status != _ENDED:
            self._work.abandon(plan_id, f"its workflow ended in {known.status}")
            return False
        self._begin(plan_id, is_known=known is not None)
        return False

    def _begin(self, plan_id: str, *, is_known: bool) -> None:
        from dbos import DBOS, SetWorkflowID  # noqa: PLC0415  # after the launch, which imported it

        if is_known:  # it had let go of the plan until its hour, which has come
            DBOS.delete_workflow(plan_id)
        self._running.add(plan_id)
        try:
            with SetWorkflowID(plan_id):
                DBOS.start_workflow(_workflow(), plan_id)
        except BaseException:
            self._running.discard(plan_id)
            raise
        self._quiet_rounds = 0

    def _prepare(self) -> None:
        if not self._is_closed:
            self._launch()

    def _launch(self) -> None:
        """Have DBOS up; what it finds unfinished in its own tables it takes up by itself."""
        if self.is_launched:
            return
        if Durable.launched is not None:
            raise RuntimeError("another runner of plans is up in this process")
        _quieten()
        from dbos import DBOS  # noqa: PLC0415  # 20 MB that madre does without until there is a plan

        _workflow()
        self._engine = _sqlite_engine(self._url) if self._url.startswith("sqlite") else None
        DBOS(config=self._config())
        Durable.launched = self
        try:
            DBOS.launch()
        except BaseException:
            self._destroy()
            raise
        _forget_the_ended()
        _log.info("plans run on DBOS")

    def _config(self) -> DBOSConfig:
        from dbos import DBOSPortableJSONSerializer  # noqa: PLC0415

        config: DBOSConfig = {
            "name": _NAME,
            "system_database_url": self._url,
            "system_database_engine": self._engine,
            "sys_db_pool_size": _CONNECTIONS,
            "serializer": DBOSPortableJSONSerializer(),
            "executor_id": _EXECUTOR,
            "application_version": _VERSION,
            "max_executor_threads": _THREADS,
            "notification_listener_polling_interval_sec": _LISTEN_EVERY_SEC,
            "use_listen_notify": False,
            "log_level": "WARNING",
            "enable_otlp": False,
        }
        return config

    async def rest(self) -> None:
        """Let DBOS go after two looks at which nothing ran."""
        self._quiet_rounds = 0 if self._running or not self.is_launched else self._quiet_rounds + 1
        if self._quiet_rounds > 2:
            await self._by_hand(self._rested)

    def _rested(self) -> None:
        if self.is_launched and not self._running:
            self._destroy()

    def _close(self) -> None:
        """Let DBOS go, once the plans that were interrupted have noticed."""
        deadline = time.monotonic() + _ENDING_SEC
        while self._running and time.monotonic() < deadline:
            time.sleep(0.005)
        if self.is_launched:
            self._destroy()

    def _destroy(self) -> None:
        from dbos import DBOS  # noqa: PLC0415

        try:
            DBOS.destroy()
        finally:
            Durable.launched = None
            self._quiet_rounds = 0
            if self._engine is not None:
                self._engine.dispose()

    def carry_out(self, plan_id: str) -> None:
        """The workflow of one plan; in a thread of DBOS."""
        self._running.add(plan_id)
        try:
            _carry_out(self._work, plan_id)
        except Exception as error:  # border: a plan that cannot be run must not look as if it ran
            _log.exception("plan %s could not be run", plan_id)
            if self._is_closed:  # its rows say that it is to run, and the next life will see to it
                raise Interrupted from error
            self._work.abandon(plan_id, "it could not be run; the log has the rest")
            raise
        finally:
            self._running.discard(plan_id)


def own_url(database_url: str) -> str:
    """Where DBOS keeps what it needs: a file beside the house's, or the house's own PostgreSQL (another schema)."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite":
        return url.set(drivername="postgresql").render_as_string(hide_password=False)
    path = Path(url.database or "vx11.db")
    return url.set(database=str(path.with_name(f"{path.stem}-dbos.db"))).render_as_string(hide_password=False)


def _carry_out(work: Work, plan_id: str) -> None:
    """What a plan's workflow does, from where its rows say that it stands. The order of the calls is `_VERSION`."""
    for number in work.begin(plan_id):
        after = work.step(plan_id, number)
        if after is Next.LATER:
            return
        if after is Next.STOP:
            break
    for number in work.to_undo(plan_id):
        work.undo(plan_id, number)
    work.end(plan_id)


def _known_to_dbos(plan_ids: list[str]) -> dict[str, WorkflowStatus]:
    """What DBOS has of these plans, in one look."""
    from dbos import DBOS  # noqa: PLC0415

    found = DBOS.list_workflows(workflow_ids=plan_ids, load_input=False, load_output=False)
    return {status.workflow_id: status for status in found}


def _forget_the_ended() -> None:
    """Drop what DBOS knows of plans that it has let go of: their own rows have it, for as long as they are kept."""
    from dbos import DBOS  # noqa: PLC0415

    while ended := DBOS.list_workflows(status=_ENDED, limit=_FORGOTTEN_AT_ONCE, load_input=False, load_output=False):
        DBOS.delete_workflows([workflow.workflow_id for workflow in ended])


@functools.cache
def _workflow() -> Callable[[str], None]:
    """The workflow function, registered with DBOS once a process."""
    from dbos import DBOS  # noqa: PLC0415

    @DBOS.workflow(name="plan", max_recovery_attempts=_LIVES_MAX)
    def plan(plan_id: str) -> None:
        durable = Durable.launched
        assert durable is not None
        durable.carry_out(plan_id)

    return plan


def _sqlite_engine(url: str) -> Engine:
    """An engine as DBOS would make it, but with the house's driver, and WAL where that is safe."""
    driver = sqlite_module()
    journal = "WAL" if wal_is_safe(driver.sqlite_version_info) else "DELETE"
    engine = create_engine(
        url, module=driver, connect_args={"check_same_thread": False}, pool_size=_CONNECTIONS, max_overflow=0
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if journal == 'WAL' else 'FULL'}")

    return engine


def _quieten() -> None:
    """Have DBOS log as the house does: it adds a console of its own unless somebody handles its lines."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
