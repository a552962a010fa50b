"""Several real processes at one database: each runs one of the small programs below.

`crowd` starts one Python that forks as many as are wanted, because importing the foundation nine times would
take longer than the test; the process of the tests itself is never forked.
"""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from config import audit, idempotency
from config.auth import Caller, admin_token
from config.clock import SystemClock
from config.db import Database
from config.db_schema import Base, SystemState
from config.errors import Conflict
from config.events import Journal
from config.settings import Settings

ROOT = Path(__file__).parents[2]
BATCH = 5


def started(program: Callable[..., object], *each: Sequence[object]) -> subprocess.Popen[str]:
    """A process that runs `program` for each list of arguments: itself if there is one list, else in forks."""
    command = [sys.executable, "-m", "tests.support.crowd", program.__name__, json.dumps(each)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def crowd(program: Callable[..., object], *each: Sequence[object]) -> list[Any]:
    """Run `program` in one process for each list of arguments, all at once; what they returned, in that order."""
    process = started(program, *each)
    output, failures = process.communicate(timeout=60)
    assert process.returncode == 0, failures
    return list(json.loads(output))


def tally(url: str, times: int) -> None:
    """Read a number, add one, write it back."""
    database = Database(url)
    for _ in range(times):
        with database.write() as session:
            row = session.get_one(SystemState, "tally")
            row.value = {"n": row.value["n"] + 1}


def open_new(url: str) -> None:
    """Use a database that may not be there yet."""
    database = Database(url)
    Base.metadata.create_all(database.writer)
    with database.read() as session:
        session.get(SystemState, "tally")


def act(url: str, service: str, times: int) -> None:
    """Leave audited acts."""
    database = Database(url)
    for number in range(times):
        with database.write() as session:
            now = SystemClock().now()
            audit.append(session, Caller.of_service(service), "counted", str(number), now=now, service=service)


def claim(url: str) -> bool:
    """Whether this process is the one that may do what a key stands for."""
    try:
        with Database(url).write() as session:
            return idempotency.claimed(session, "k" * 64, "b" * 64, SystemClock().now()) is None
    except Conflict:
        return False


def tell(url: str, service: str, times: int) -> None:
    """Append events one by one, and between them some that are rolled back."""
    database = Database(url)
    journal = Journal(database, service, SystemClock())
    for number in range(times):
        with database.write() as session:
            journal.append(session, "told.kept", {"number": number})
        if number % 3 == 0:
            try:
                with database.write() as session:
                    journal.append(session, "told.lost", {"number": number})
                    session.flush()
                    raise InterruptedError
            except InterruptedError:
                pass


def batches(url: str) -> None:
    """Write batches of rows for ever, and say the number of each once it is committed."""
    database = Database(url)
    journal = Journal(database, "switch", SystemClock())
    number = 0
    while True:
        number += 1
        with database.write() as session:
            for part in range(BATCH):
                journal.append(session, "batch", {"number": number, "part": part})
                session.flush()
        print(number, flush=True)


def make_admin_token(folder: str) -> str:
    """The admin token, which may have to be made first."""
    return admin_token(Settings(data_path=Path(folder)))


_PROGRAMS: dict[str, Callable[..., object]] = {
    program.__name__: program for program in (tally, open_new, act, claim, tell, batches, make_admin_token)
}


def _run(name: str, each: list[list[Any]]) -> list[object]:
    if len(each) == 1:
        return [_PROGRAMS[name](*each[0])]
    fork = multiprocessing.get_context("fork")
    all_here = fork.Barrier(len(each))

    def wait_for_all() -> None:
        all_here.wait(timeout=30)

    with fork.Pool(len(each), initializer=wait_for_all) as pool:
        return pool.starmap(_PROGRAMS[name], each, chunksize=1)


if __name__ == "__main__":
    print(json.dumps(_run(sys.argv[1], json.loads(sys.argv[2]))))
