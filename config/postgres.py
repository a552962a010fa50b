"""What the house does differently on PostgreSQL: the writers' turn, the bell, the errors of a server elsewhere.

Everything above this file was written for one writer at a time: read-then-write needs no retry, ids become visible
in their order, the audit chain has one end, an idempotency key one first claim. SQLite gives that by
`BEGIN IMMEDIATE`; here each write begins by taking one advisory lock, which is queued first come, first served, and is
let go with the commit. `docs/decisions/0017-scale-out.md` has the figures and what was not taken.

The same statement orders a notification, which the server sends to every listener if and when the commit is done: what
`PRAGMA data_version` is on a file, without looking.
"""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from config.errors import DiskFull, Invalid, Unavailable, VX11Error
from config.logs import hide

CHANNEL = "vx11_commits"
_READERS = 4
_TURN = 0x5658_3131  # "VX11": whose turn it is to write
_BEGIN_WRITE = f"SELECT pg_advisory_xact_lock({_TURN}), pg_notify('{CHANNEL}', '')"
_CONNECT_SEC = 5
_SILENT_SEC = 15  # after so long without a sign of the other machine its connection is probed
_STUCK_MS = 60_000  # a process that stops in the middle of a write loses its turn after this
_LOOK_ANYWAY_SEC = 5.0  # a bell can be lost where a network is in between
_RING_AT_MOST_EVERY_SEC = 0.005
_DISK_FULL, _NO_LOCK = "53100", "55P03"
_LOST_RACES, _OVER_A_LIMIT = "40", "54"  # classes of SQLSTATE: PostgreSQL's manual, appendix A


class Postgres:
    """One database of a PostgreSQL server, through psycopg."""

    def __init__(self, url: str, busy_timeout_ms: int) -> None:
        self._url = make_url(url).set(drivername="postgresql+psycopg")
        self._busy_timeout_ms = busy_timeout_ms
        if self._url.password:
            hide(str(self._url.password))

    def engine(self, *, writes: bool) -> Engine:
        """The engine of writers: one connection, one turn after the other; or that of readers, which cannot write.

        Writers read what is committed at each statement, so after the turn was given they see all that came before; a
        reader sees one moment.
        """
        engine = create_engine(
            self._url,
            connect_args=self._arguments(writes=writes),
            pool_size=1 if writes else _READERS,
            max_overflow=0,
            pool_timeout=self._busy_timeout_ms / 1000,
            pool_pre_ping=True,  # a server that was started anew costs nobody an error
        )
        if writes:

            @event.listens_for(engine, "begin")
            def _begin(connection: Any) -> None:
                connection.exec_driver_sql(_BEGIN_WRITE)

        return engine

    def _arguments(self, *, writes: bool) -> dict[str, Any]:
        """Parameters of libpq: how a dead server is noticed, and what holds for every transaction."""
        settings = {
            "timezone": "UTC",
            "lock_timeout": self._busy_timeout_ms,
            "idle_in_transaction_session_timeout": _STUCK_MS,
            "default_transaction_isolation": r"read\ committed" if writes else r"repeatable\ read",
            "default_transaction_read_only": "off" if writes else "on",
        }
        given = str(self._url.query.get("options", ""))  # comes last: whoever says it in the URL means it
        return {
            "application_name": "vx11",
            "connect_timeout": _CONNECT_SEC,
            "keepalives_idle": _SILENT_SEC,
            "tcp_user_timeout": _SILENT_SEC * 1000,
            "options": " ".join([*(f"-c {name}={value}" for name, value in settings.items()), given]).strip(),
        }

    def meaning(self, error: DBAPIError) -> VX11Error | None:
        """What a failure says in the words of the error tree; None for one that is a bug of ours."""
        state = getattr(error.orig, "sqlstate", None) or ""
        if isinstance(error, DataError):
            return Invalid("The database cannot keep a value of this request: too long, too large, or not text.")
        if error.connection_invalidated or isinstance(error, InterfaceError):
            return _gone()
        if not isinstance(error, OperationalError) or state.startswith(_OVER_A_LIMIT):
            return None
        if state == _DISK_FULL:
            return DiskFull("The disk that holds the database is full; nothing of this request was kept.")
        if state == _NO_LOCK or state.startswith(_LOST_RACES):
            return Unavailable("The database is busy.", retry_after_sec=1)
        return _gone()

    def watcher(self) -> PostgresWatcher:
        """Something that notices when anybody commits; Unavailable while the server does not answer."""
        return PostgresWatcher(self._url.set(drivername="postgresql").render_as_string(hide_password=False))

    def verdict(self, session: Session) -> str:
        """`ok` once the server answers: it checks its own pages, where its checksums are on."""
        session.execute(text("SELECT 1"))
        return "ok"


class PostgresWatcher:
    """Hears of every commit by LISTEN, on a connection of its own, whose socket the event loop watches."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection = _listening(conninfo)

    async def committed(self) -> None:
        """Return once somebody has committed since the last look, or after a while; Unavailable if nobody answers."""
        await asyncio.sleep(_RING_AT_MOST_EVERY_SEC)
        try:
            if not self._has_rung():
                await _readable(self._connection.fileno(), _LOOK_ANYWAY_SEC)
                self._has_rung()
        except _driver().OperationalError:
            self._connection.close()
            self._connection = await asyncio.to_thread(_listening, self._conninfo)

    def _has_rung(self) -> bool:
        """Whether notifications had come; takes them all."""
        link = self._connection.pgconn
        link.consume_input()
        rung = False
        while link.notifies() is not None:
            rung = True
        return rung

    def close(self) -> None:
        """Close the listening connection."""
        self._connection.close()


def _listening(conninfo: str) -> Any:
    psycopg = _driver()
    try:
        connection = psycopg.connect(conninfo, autocommit=True, connect_timeout=_CONNECT_SEC, application_name="vx11")
        connection.execute(f"LISTEN {CHANNEL}")
    except psycopg.OperationalError as error:
        raise _gone() from error
    return connection


async def _readable(descriptor: int, within_sec: float) -> None:
    """Return once there is something to read, or after `within_sec`."""
    loop, woken = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, woken.set)
    try:
        async with asyncio.timeout(within_sec):
            await woken.wait()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(descriptor)


def _driver() -> ModuleType:
    import psycopg  # noqa: PLC0415  # 6 MiB that a fleet on SQLite does not pay

    return psycopg


def _gone() -> Unavailable:
    return Unavailable("The database does not answer.", retry_after_sec=1)
