"""Which cage this machine has: the rungs are tried one after the other, and what was found is said.

A rung counts by what it did, not by what the kernel says it can: every level has to hold the hostile programs of
`trials.py`. The first that keeps every promise is taken; where none does, the one that keeps most, and its card says
what it leaves open.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pwd
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from spawner.adapters.guards import means
from spawner.adapters.nursery import Interpreter, Nursery, NurseryCage
from spawner.adapters.sayings import read_tail
from spawner.adapters.trials import TOLD, TRIALS, Trial, leaks_of
from spawner.cage import Ending, Guard, Level, Promise, Rung, Task, Verdict, argv_of
from spawner.nursery import kernel
from spawner.nursery.folder import mend_left

STRONGEST: Final = (Rung.SANDLOCK, Rung.LANDLOCK, Rung.RLIMITS)
# Landlock's rung keeps the same promises, and starts a Python in half the time: docs/decisions/0021-isolation.md.
QUICKEST: Final = (Rung.LANDLOCK, Rung.SANDLOCK, Rung.RLIMITS)
_log = logging.getLogger(__name__)
_USERS: Final = 64  # as many daughters can each have a uid of their own
_FIRST_USER: Final = 61_184  # systemd keeps the range from here to 65519 for users made on the fly
_SYSTEM_PYTHONS: Final = (Path("/usr/bin/python3"), Path("/usr/local/bin/python3"))


async def best_cage(
    secrets: Sequence[Path] = (), *, place: Path | None = None, rungs: Sequence[Rung] = QUICKEST
) -> NurseryCage:
    """The best cage of `rungs` that works here, tried in this order. `secrets` are files and folders that no daughter
    may read; that they cannot is part of the trial. `place` is where daughters' folders are to be (a temporary one if
    not said): one that others may not enter is out of reach for some rungs; what is left there of former daughters is
    made such that it can be walked. Takes about 0.7 s for a rung."""
    if place is not None:
        await asyncio.to_thread(place.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(mend_left, place)
    nursery = Nursery()
    user, findings = own_user()
    interpreter = interpreter_for(user)
    if interpreter is None:
        findings = [*findings, "no Python outside of private folders: python tasks are refused, and nothing is tried"]
    tried: list[Level] = []
    for rung in rungs:
        level = await _tried(untried(rung, user, interpreter, nursery), interpreter is not None, place, secrets)
        findings = [*findings, *level.findings]
        tried.append(level)
        if level.is_fit_for_untrusted:
            break
    best = max(tried, key=lambda level: (len(level.guards) - len(level.open_promises), level.number))
    chosen = Level(best.rung, best.guards, (*findings, f"{best.rung}: chosen"), best.user)
    for finding in chosen.findings:
        _log.info("isolation of daughters: %s", finding)
    return NurseryCage(chosen, nursery, interpreter)


def untried(rung: Rung, user: int | None, interpreter: Interpreter | None, nursery: Nursery) -> NurseryCage:
    """A cage on one rung that promises nothing yet."""
    return NurseryCage(Level(rung, (), (), user), nursery, interpreter)


async def _tried(cage: NurseryCage, can_run: bool, place: Path | None, secrets: Sequence[Path]) -> Level:
    """What a rung is worth here; one that cannot run anything keeps nothing."""
    rung = cage.level.rung
    if rung is Rung.LANDLOCK and not kernel.landlock_abi():
        return _worthless(rung, "this kernel has no Landlock, or it is switched off")
    if not can_run:
        return _worthless(rung, "it could not be tried")
    with ExitStack() as stack:
        told = stack.enter_context(_temptations(_temporary(stack, None), secrets))
        rooms = _temporary(stack, place)
        outcomes = await asyncio.gather(*(_try(cage, *trial, told, rooms) for trial in enumerate(TRIALS)))
    refused = next((verdict for verdict, _ in outcomes if verdict.kind is Ending.REFUSED), None)
    if refused is not None:
        return _worthless(rung, refused.detail)
    return _judged(rung, cage.level.user, dict(zip(TRIALS, outcomes, strict=True)))


def _temporary(stack: ExitStack, place: Path | None) -> Path:
    made = tempfile.TemporaryDirectory(prefix="vx11-trial-", dir=place, ignore_cleanup_errors=True)
    folder = Path(stack.enter_context(made))
    folder.chmod(0o755)
    return folder


async def _try(cage: NurseryCage, number: int, trial: Trial, told: dict[str, Any], place: Path) -> tuple[Verdict, str]:
    """The verdict, and the last of what was said."""
    folder, output = place / f"work-{number}", place / f"output-{number}"
    folder.mkdir()
    environment = {TOLD: json.dumps(told)} if trial.promise is None else {}
    task = Task(argv_of("python", trial.code), folder, environment, limits=trial.limits)
    verdict = await cage.run(task, output, lambda _pid: None)
    return verdict, read_tail(output)


def _judged(rung: Rung, user: int | None, outcomes: dict[Trial, tuple[Verdict, str]]) -> Level:
    broken: dict[Promise, str] = {}
    for trial, (verdict, said) in outcomes.items():
        if trial.promise is None:
            broken |= _trespasses(verdict, said)
        elif not trial.held(verdict):
            broken[trial.promise] = f"the trial of {trial.promise} ended so: {verdict.kind}, {verdict.detail}"
        elif trial.promise is Promise.TREE and _lives(said):
            broken[trial.promise] = "a grandchild that had left its session lived on"
    guards = tuple(
        Guard(promise, by, promise not in broken) for promise, by in means(rung, user, kernel.landlock_abi()).items()
    )
    findings = [f"{rung}: {promise} is left open: {why}" for promise, why in broken.items()]
    kept = len(guards) - len(broken)
    return Level(rung, guards, (f"{rung}: tried, keeps {kept} of {len(guards)} promises", *findings), user)


def _trespasses(verdict: Verdict, said: str) -> dict[Promise, str]:
    """What the trespasser got away with; all of it, if it could not tell."""
    tries = (
        Promise.READING, Promise.WRITING, Promise.PEEKING, Promise.SIGNALS, Promise.NETWORK, Promise.ENVIRONMENT,
        Promise.MEMORY, Promise.DISK,
    )  # fmt: skip
    if not verdict.succeeded:
        return dict.fromkeys(tries, f"the trial could not be made: {verdict.detail}; {said[-200:]}")
    return {promise: f"not refused: {', '.join(found)}" for promise, found in leaks_of(json.loads(said)).items()}


def _worthless(rung: Rung, why: str) -> Level:
    guards = tuple(Guard(promise, "nothing", kept=False) for promise in Promise)
    return Level(rung, guards, (f"{rung}: cannot be used: {why}",))


@contextmanager
def _temptations(place: Path, secrets: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Files that permissions alone would hand out, and sockets that answer; what the trespasser is told of them."""
    place.chmod(0o777)
    for name, mode in (("secret", 0o644), ("open", 0o666)):
        (place / name).write_text("x")
        (place / name).chmod(mode)
    abstract = f"\0vx11-trial-{os.getpid()}-{place.name}"
    with ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(_bound(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)))
        for kind, address in ((socket.SOCK_STREAM, str(place / "stream")), (socket.SOCK_STREAM, abstract)):
            stack.enter_context(_bound(socket.AF_UNIX, kind, address)).listen()
        stack.enter_context(_bound(socket.AF_UNIX, socket.SOCK_DGRAM, str(place / "datagrams")))
        for name in ("stream", "datagrams"):
            (place / name).chmod(0o777)
        yield {
            "service": os.getpid(),
            "place": str(place),
            "secrets": [str(place / "secret"), *(str(path) for path in secrets if path.exists())],
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "abstract": abstract,
        }


def _bound(family: int, kind: int, address: Any) -> socket.socket:
    made = socket.socket(family, kind)
    made.bind(address)
    return made


def own_user() -> tuple[int | None, list[str]]:
    """The first of the uids that daughters get, where we may give them away."""
    if os.geteuid() != 0:
        return None, ["the service is not root: daughters share its user"]
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    first = _FIRST_USER
    while taken.intersection(range(first, first + _USERS)):
        first += _USERS
    return first, [f"the service is root: each daughter gets a user of her own, from {first} on"]


def interpreter_for(user: int | None) -> Interpreter | None:
    """The Python for daughters: ours, without our packages; the system's where ours is in a private folder."""
    ours = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    for program in (ours, *_SYSTEM_PYTHONS):
        if program.exists() and (user is None or _is_public(program.resolve())):
            return Interpreter(program, Path(sys.base_prefix) if program == ours else None)
    return None


def _is_public(program: Path) -> bool:
    """Whether any user may run it where it is."""
    return all(path.stat().st_mode & stat.S_IXOTH for path in (program, *program.parents))


def _lives(said: str) -> bool:
    return not said.split() or Path("/proc", said.split(maxsplit=1)[0]).exists()
