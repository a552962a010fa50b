"""A client that leaves in the middle of a long prompt: milliseconds until the worker's processor time stands still.

The kernel's own count of what every thread of the worker has had (`/proc/<pid>/task/*/schedstat`, nanoseconds) is
looked at every two milliseconds; idle is the moment after which the worker uses next to nothing any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

from scripts.measuring import running_fleet
from scripts.serving.asking import Client, middle, prose
from scripts.serving.case import Wish, models_of, worker_of

_WORDS = 1_890  # about 1,900 tokens
_EVERY_SEC = 0.002
_LOOK_SEC = 0.5
_NEXT_TO_NOTHING_NS = 3e6  # of processor time: what closing a connection and looking around takes


async def measure(wish: Wish) -> dict[str, Any]:
    """Leave `wish.runs` times, each time at another point of the prompt."""
    idle: list[float] = []
    with running_fleet([wish.smallest]) as fleet:
        async with Client(fleet.url) as client:
            [model] = await models_of(client)
            whole = await client.stream({"model": model, "prompt": prose(_WORDS, 1), "max_tokens": 1})
            worker = worker_of(fleet)
            for run in range(wish.runs):
                body = {"model": model, "prompt": prose(_WORDS, 100 + run), "max_tokens": 1, "stream": True}
                stay_sec = whole.first_ms / 1000 * (0.2 + 0.5 * run / wish.runs)
                idle.append(await _left(client, body, worker, stay_sec))
    return {
        "model": wish.smallest.name,
        "runs": wish.runs,
        "prompt_tokens": whole.prompt_tokens,
        "whole_prompt_ms": round(whole.first_ms, 1),
        "idle_after_ms": middle(idle),
        "idle_after_ms_worst": round(max(idle), 1),
    }


async def _left(client: Client, body: dict[str, Any], worker: int, stay_sec: float) -> float:
    """Milliseconds from leaving to an idle worker."""
    asking = asyncio.create_task(_held_open(client, body))
    began = used_ns(worker)
    while used_ns(worker) - began < 20e6:  # the prompt is being read
        await asyncio.sleep(_EVERY_SEC)
    await asyncio.sleep(stay_sec)
    if asking.done():
        raise RuntimeError("the prompt was read before the client could leave")
    asking.cancel()
    left = time.perf_counter()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    seen = [(time.perf_counter() - left, used_ns(worker))]
    while seen[-1][0] < _LOOK_SEC:
        await asyncio.sleep(_EVERY_SEC)
        seen.append((time.perf_counter() - left, used_ns(worker)))
    return _idle_from(seen) * 1000


async def _held_open(client: Client, body: dict[str, Any]) -> None:
    async with client.open("/v1/completions", body) as answer:
        await answer.read()


def used_ns(pid: int) -> int:
    """Processor time of a process so far, all threads, nanoseconds."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks)


def _idle_from(seen: list[tuple[float, int]]) -> float:
    """The first moment (seconds) after which the worker used next to nothing; RuntimeError if it never came."""
    _, at_last = seen[-1]
    idle = next(at for at, used in seen if at_last - used < _NEXT_TO_NOTHING_NS)
    if idle > _LOOK_SEC - 0.1:
        raise RuntimeError(f"the worker was not idle within {_LOOK_SEC} s")
    return idle
