"""A PostgreSQL server of the tests' own: made from the programs of this machine, in a folder that goes with it.

PostgreSQL refuses to run as root, so there it runs as the user `postgres` that Debian's package made.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from config.lifeline import die_with_parent

_DEBIANS: Final = Path("/usr/lib/postgresql")
_PORT: Final = 5432  # names the socket; nothing listens on TCP
_START_SEC: Final = 30.0
# What is lost when this machine dies is of no interest; all else is as a person's server has it.
_SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "shared_buffers": "32MB",
    "log_min_messages": "fatal",
}


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, the newest where there are several; None without PostgreSQL."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    versions = sorted(_DEBIANS.glob("*/bin/initdb"), key=lambda found: float(found.parents[1].name))
    return versions[-1].parent if versions else None


class Cluster:
    """One server. `stop` and `start` may follow each other; `remove` at the end."""

    def __init__(self) -> None:
        found = programs()
        assert found is not None, "PostgreSQL is not installed"
        self._programs = found
        # Not in pytest's folder: nobody but its owner may pass through that.
        self.folder = Path(tempfile.mkdtemp(prefix="vx11-postgres-"))
        self._as: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if _is_root() else {}
        if _is_root():
            shutil.chown(self.folder, "postgres", "postgres")
        self._server: subprocess.Popen[bytes] | None = None
        made_as = ["--username=vx11", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
        self._run("initdb", f"--pgdata={self._data}", *made_as, "--no-sync", "--no-instructions")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        """Where the server is, as the fleet takes it; names the database that is always there."""
        return f"postgresql://vx11@/postgres?host={self.folder}&port={_PORT}"

    def admit_everybody(self) -> None:
        """Let connections over TCP in, from wherever the server will listen to."""
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all trust\n")

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._server is not None

    def start(self, **settings: str) -> None:
        """Run it, and return once it answers. It ends with the thread that calls this."""
        chosen = {**_SETTINGS, "port": str(_PORT), "unix_socket_directories": str(self.folder), **settings}
        argv = [str(self._programs / "postgres"), "-D", str(self._data)]
        argv += [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(argv, stdout=log, stderr=log, preexec_fn=die_with_parent, **self._as)  # noqa: PLW1509
        give_up = time.monotonic() + _START_SEC
        while not self._answers(chosen["port"]):
            if self._server.poll() is not None or time.monotonic() > give_up:
                raise AssertionError((self.folder / "log").read_text())
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT cuts connections and keeps everything, SIGQUIT is what a power cut would leave."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(30)
            self._server = None

    def remove(self) -> None:
        """End it and take its folder away."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self, port: str) -> bool:
        import psycopg  # only where it is needed

        try:
            psycopg.connect(self.url.replace(f"port={_PORT}", f"port={port}"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            **self._as,
        )
        assert done.returncode == 0, done.stderr


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server that runs; gone with the block."""
    made = Cluster()
    try:
        made.start()
        yield made
    finally:
        made.remove()


def _is_root() -> bool:
    return os.geteuid() == 0
