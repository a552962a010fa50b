"""What a daughter takes beside a bare process: alternating pairs, so that the machine's mood cancels.

From the order to the verdict, in the cage that this machine has; the peer is `subprocess.run` with the same arguments.
Between two daughters there is a moment of quiet, as there is between the tasks of people: the nursery has the next one
ready by then.

    python -m scripts.bench_daughters        prints JSON
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from spawner.adapters.ladder import best_cage, interpreter_for, own_user
from spawner.adapters.nursery import NurseryCage
from spawner.cage import PYTHON, SHELL, Task

_PAIRS = 40
_QUIET_SEC = 0.05
_PROGRAMS: dict[str, tuple[str, ...]] = {
    "python": (PYTHON, "-I", "-S", "-c", "pass"),
    "shell_pipe": (SHELL, "-c", "echo hello | cat"),
    "shell": (SHELL, "-c", "true"),
}


def measured() -> dict[str, Any]:
    """For each program: milliseconds of a bare process and of a daughter, and the median of the pairs' ratios."""
    with tempfile.TemporaryDirectory(prefix="vx11-bench-") as folder:
        place = Path(folder)
        place.chmod(0o755)  # daughters have users of their own
        return asyncio.run(_measured(place))


async def _measured(place: Path) -> dict[str, Any]:
    cage = await best_cage(place=place)
    try:
        pairs = {name: await _pairs(cage, place, name) for name in _PROGRAMS}
    finally:
        await cage.close()
    return {"isolation": cage.level.rung.value, "programs": {name: _told(found) for name, found in pairs.items()}}


async def _pairs(cage: NurseryCage, place: Path, name: str) -> list[tuple[float, float]]:
    for number in range(3):
        await _daughter(cage, place, f"{name}-warm-{number}", _PROGRAMS[name])
    return [
        (_bare(_PROGRAMS[name]), await _daughter(cage, place, f"{name}-{number}", _PROGRAMS[name]))
        for number in range(_PAIRS)
    ]


def _bare(argv: tuple[str, ...]) -> float:
    if argv[0] == PYTHON:
        interpreter = interpreter_for(own_user()[0])
        assert interpreter is not None
        argv = (str(interpreter.program), *argv[1:])
    time.sleep(_QUIET_SEC)
    began = time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True)
    return time.perf_counter() - began


async def _daughter(cage: NurseryCage, place: Path, name: str, argv: tuple[str, ...]) -> float:
    folder = place / f"work-{name}"
    folder.mkdir()
    await asyncio.sleep(_QUIET_SEC)
    began = time.perf_counter()
    verdict = await cage.run(Task(argv, folder), place / f"output-{name}", lambda _pid: None)
    took = time.perf_counter() - began
    if not verdict.succeeded:
        raise RuntimeError(f"{argv[0]} ended so: {verdict.detail}")
    return took


def _told(pairs: list[tuple[float, float]]) -> dict[str, float]:
    return {
        "bare_ms": round(statistics.median(bare for bare, _ in pairs) * 1000, 2),
        "daughter_ms": round(statistics.median(daughter for _, daughter in pairs) * 1000, 2),
        "times_a_bare_one": round(statistics.median(daughter / bare for bare, daughter in pairs), 2),
    }


def main() -> None:
    """Measure and print."""
    print(json.dumps(measured(), indent=2))


if __name__ == "__main__":
    main()
