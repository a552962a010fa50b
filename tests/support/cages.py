"""Real cages for tests: each rung that works here, its daughters with a user of their own or with the service's."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from spawner.adapters.ladder import interpreter_for, own_user, untried
from spawner.adapters.nursery import COMMAND, Nursery, NurseryCage
from spawner.cage import Limits, Promise, Rung, Task, Verdict, argv_of
from spawner.nursery import kernel, sandlocked

_HOUSE = Path(__file__).parents[2]
SERVICE_USER = 60_999  # what a service is that is not root, where tests are
SMALL = Limits(
    cpu_sec=10,
    wall_sec=20,
    memory_mb=128,
    processes=16,
    files=64,
    file_mb=2,
    disk_mb=8,
    folder_files=99,
    output_bytes=8192,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A rung, and whether each daughter has a user of her own (the service is root) or that of the service."""

    rung: Rung
    own_user: bool

    @property
    def open_promises(self) -> frozenset[Promise]:
        """What it does not claim to keep."""
        weak = {Promise.READING, Promise.WRITING, Promise.PEEKING}
        return frozenset(weak if self.rung is Rung.RLIMITS else ())

    @property
    def missing(self) -> str:
        """Why it cannot be had here; empty where it can."""
        if self.own_user and os.geteuid() != 0:
            return "only root can give daughters a user of their own"
        if self.rung is Rung.SANDLOCK and (why := sandlocked.available()):
            return why
        if self.rung is Rung.LANDLOCK and not kernel.landlock_abi():
            return "this kernel has no Landlock"
        if not self.own_user and os.geteuid() == 0 and (not shutil.which("setpriv") or interpreter_for(1) is None):
            return "root without setpriv, or without a Python that others may run"
        if self.rung is Rung.SANDLOCK and not self.own_user and os.geteuid() == 0 and not _others_have_sandlock():
            return "sandlock is not for the Python that others may run"
        return ""

    def __str__(self) -> str:
        return f"{self.rung}-{'own' if self.own_user else 'shared'}-user"


KINDS = tuple(Kind(rung, own) for rung in reversed(Rung) for own in (True, False))


@dataclass
class Grounds:
    """A cage and a place for its daughters, where the service's user owns what it would own."""

    kind: Kind
    place: Path
    nursery: Nursery
    cage: NurseryCage
    user: int | None  # that of the service, where it is not ours
    pids: list[int] = field(default_factory=list)
    _count: int = 0

    def folder(self) -> Path:
        """A fresh folder for a daughter; its output's is beside it."""
        self._count += 1
        made = self.place / f"work-{self._count}"
        for path in (made, self.output_of(made)):
            path.mkdir(mode=0o700)
            self.give(path)
        return made

    def output_of(self, folder: Path) -> Path:
        """Where the output of the daughter in `folder` goes."""
        return folder.with_name(folder.name.replace("work", "output"))

    def give(self, path: Path) -> None:
        """Make a path the service's."""
        if self.user is not None:
            os.chown(path, self.user, self.user)

    async def run(
        self, code: str, limits: Limits = SMALL, *, folder: Path | None = None, shell: bool = False, **more: Any
    ) -> tuple[Verdict, str]:
        """The verdict on a program, and all that is kept of what it said."""
        folder = folder or self.folder()
        argv = argv_of("shell" if shell else "python", code)
        output = self.output_of(folder)
        verdict = await self.cage.run(Task(argv, folder, limits=limits, **more), output, self.pids.append)
        return verdict, said(output)


def said(output: Path) -> str:
    """All that is kept of an output."""
    return b"".join(path.read_bytes() for path in sorted(output.iterdir())).decode(errors="replace")


@contextmanager
def grounds(kind: Kind) -> Iterator[Grounds]:
    """A cage of this kind; its nursery is the caller's to close."""
    as_other = not kind.own_user and os.geteuid() == 0
    user = SERVICE_USER if as_other else None
    first = own_user()[0] if kind.own_user else None
    # pytest's own folders are closed to other users
    with tempfile.TemporaryDirectory(prefix="vx11-hostile-", ignore_cleanup_errors=True) as made:
        place = Path(made)
        place.chmod(0o755)
        interpreter = interpreter_for(user if as_other else first)
        nursery = Nursery(_as_user(SERVICE_USER) if as_other else COMMAND)
        yield Grounds(kind, place, nursery, untried(kind.rung, first, interpreter, nursery), user)


@contextmanager
def temptations(ground: Grounds, output: Path) -> Iterator[dict[str, Any]]:
    """A fleet's data, a process of it, and sockets that answer: all that `escapes.py` reaches for."""
    data = ground.place / "data"
    data.mkdir(mode=0o777)
    data.chmod(0o777)
    for name in ("database", "public", "victim", "stolen", "moved", "token", "program"):
        path = data / name
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755 if name == "program" else 0o666)
        ground.give(path)
    ground.give(data)
    with ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        abstract = f"\0vx11-hostile-{os.getpid()}-{data}"
        for address, kind in ((str(data / "unix"), 1), (abstract, 1), (str(data / "datagrams"), 2)):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            listener.bind(address)
            if kind == socket.SOCK_STREAM:
                listener.listen(100)
        for name in ("unix", "datagrams"):
            (data / name).chmod(0o777)
            ground.give(data / name)
        victim = stack.enter_context(_victim(ground))
        yield {
            **{name: str(data / name) for name in ("database", "public", "token", "program", "unix", "datagrams")},
            "data": str(data),
            "output": str(output),
            "temporary": tempfile.gettempdir(),
            "victim": victim.pid,
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "abstract": abstract,
        }


@contextmanager
def _victim(ground: Grounds) -> Iterator[subprocess.Popen[bytes]]:
    argv = ["/bin/sleep", "600"]
    with subprocess.Popen(argv, env={"VX11_TOKEN": "secret"}, user=ground.user, group=ground.user) as process:
        try:
            yield process
        finally:
            process.kill()


def _as_user(user: int) -> list[str]:
    """The nursery's command as another user, in a Python which that user may run."""
    interpreter = interpreter_for(user)
    assert interpreter is not None
    switch = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    path = ":".join(str(folder) for folder in (_HOUSE, *_packages()))
    return [*switch, "env", f"PYTHONPATH={path}", str(interpreter.program), "-m", "spawner.nursery"]


@cache
def _others_have_sandlock() -> bool:
    """Whether a nursery that is not root's could load sandlock: it may be made for another Python, or out of reach."""
    command = [*_as_user(SERVICE_USER)[:-2], "-c", "import sandlock"]
    return subprocess.run(command, check=False, capture_output=True, cwd="/").returncode == 0


def _packages() -> list[Path]:
    found = importlib.util.find_spec("sandlock")
    return [Path(found.origin).parents[1]] if found is not None and found.origin else []


def alive(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def bare(ground: Grounds, code: str, folder: Path, told: Callable[[], None]) -> str:
    """What the same program says when nobody holds it, as the service's user."""
    told()
    interpreter = interpreter_for(ground.user)
    argv = [str(interpreter.program if interpreter else sys.executable), "-I", "-S", "-c", code]
    environment = {"VX11_TOKEN": "secret", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        argv,
        cwd=folder,
        input=b"x",
        env=environment,
        capture_output=True,
        check=True,
        user=ground.user,
        group=ground.user,
        timeout=60,
    ).stdout.decode()
