"""Plans on DBOS: a workflow for each plan, a durable step for each call of `Work`.

DBOS lives in threads and in a database of its own: on SQLite a file beside the house's, in WAL and with the house's
own driver, because it would take the standard library's in a rollback journal; on PostgreSQL the schema `dbos`. It is
imported and launched when there is a plan to run or one to resume, and let go again when nothing has run for a while.

What is set here and is not DBOS's default: JSON instead of pickle, because rows of a database are not to be trusted
with code; a fixed executor and version, because recovery looks for exactly these, and the version would be a hash of
sources. The asynchronous half of its interface is never used: it makes DBOS's thread pool the default one of the
caller's event loop.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import Engine, create_engine, event, make_url

from config.app import every, task
from config.sqlite import sqlite_module, wal_is_safe
from madre.runner import Work

if TYPE_CHECKING:
    from dbos import DBOSConfig

_NAME = "vx11-madre"
_EXECUTOR = "madre"
_VERSION = "plans-1"  # of `_carry_out`: a change in the order of its durable steps is another version
_LIVES_MAX = 100  # a plan that madre died of so often is not tried again
_GOES_ON = ("PENDING", "ENQUEUED", "DELAYED")
_THREADS = 256  # plans that run at once, those that wait for their hour too; each waits in a thread of its own
_CONNECTIONS = 4
_LISTEN_EVERY_SEC = 0.5  # how long closing waits for DBOS's listener, which has nothing to listen to here
_REST_AFTER_SEC = 300.0
_BUSY_TIMEOUT_MS = 30_000
_log = logging.getLogger(__name__)


class Durable:
    """The runner of plans. There is one DBOS in a process, so one of these is launched at a time."""

    launched: ClassVar[Durable | None] = None

    def __init__(self, database_url: str, work: Work, *, rest_after_sec: float = _REST_AFTER_SEC) -> None:
        self._url = own_url(database_url)
        self._work = work
        self._rest_after_sec = rest_after_sec
        self._turn = threading.Lock()  # launching and closing; nobody starts a plan in between
        self._engine: Engine | None = None
        self._running: set[str] = set()
        self._getting_ready: asyncio.Future[None] | None = None
        self._quiet_rounds = 0
        self._is_closed = False

    @property
    def is_launched(self) -> bool:
        """Whether DBOS is up."""
        return Durable.launched is self

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run plans while the block runs, those that an earlier life left unfinished first."""
        self._is_closed = False
        async with (
            task(self._taken_up(), name="unfinished plans"),
            every(self._rest_after_sec / 2, self.rest, name="rest of the plans")(),
        ):
            try:
                yield
            finally:
                self._is_closed = True
                self._work.interrupt()
                await asyncio.to_thread(self._close)

    def prepare(self) -> None:
        """Have DBOS launched while somebody reads the plan that they are to confirm: the first time takes a second."""
        if not self.is_launched and not self._is_closed:
            self._getting_ready = asyncio.get_running_loop().run_in_executor(None, self._prepare)

    async def start(self, plan_id: str) -> None:
        """Have the plan run; once it was started, starting it again changes nothing."""
        await asyncio.to_thread(self._start, plan_id)

    async def cancel(self, plan_id: str) -> None:
        """Have no further step of the plan begin, and cut short the one that is under way."""
        await asyncio.to_thread(self._work.cancel, plan_id)

    async def _taken_up(self) -> None:
        for plan_id in await asyncio.to_thread(self._work.unfinished):
            await self.start(plan_id)

    def _start(self, plan_id: str) -> None:
        with self._turn:
            if self._is_closed:
                return  # its row says that it is to run; the next life takes it up
            self._launch()
            from dbos import DBOS, SetWorkflowID  # noqa: PLC0415  # after the launch, which imported it

            status = DBOS.get_workflow_status(plan_id)
            if status is None:
                with SetWorkflowID(plan_id):
                    DBOS.start_workflow(_workflow(), plan_id)
        if status is not None and status.status not in _GOES_ON:  # nothing, where the plan's rows know of its end
            self._work.abandon(plan_id, f"its workflow ended in {status.status}")
        elif status is not None and status.app_version != _VERSION:
            self._work.abandon(plan_id, f"it was begun by another version of madre ({status.app_version})")

    def _prepare(self) -> None:
        with self._turn:
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
            await asyncio.to_thread(self._rested)

    def _rested(self) -> None:
        with self._turn:
            if self.is_launched and not self._running:
                self._destroy()

    def _close(self) -> None:
        with self._turn:
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
        except Exception:  # border: a plan that cannot be run must not look as if it ran
            _log.exception("plan %s could not be run", plan_id)
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
    """What a plan's workflow does. Every call of `work` is one durable step, and their order is part of `_VERSION`."""
    numbers = _once("begin", work.begin, plan_id)
    goes_on = all(_once(f"step {number}", work.step, plan_id, number) for number in numbers)
    if not goes_on:
        for number in _once("to undo", work.to_undo, plan_id):
            _once(f"undo {number}", work.undo, plan_id, number)
    _once("end", work.end, plan_id)


def _once(name: str, act: Callable[..., Any], *arguments: Any) -> Any:
    """`act`, unless an earlier life has done it; then what it returned there."""
    from dbos import DBOS  # noqa: PLC0415

    return DBOS.run_step({"name": name}, act, *arguments)


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
