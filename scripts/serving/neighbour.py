"""One core busy with another program: how much decode speed is kept, and whether the door still answers at once.

The peer is the bare loop with a thread on every core that spins at each barrier, llama.cpp's default with OpenMP.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from config.settings import inherited_environment
from scripts.bench_worker import measure_peer, prompts
from scripts.measuring import running_fleet
from scripts.serving.asking import Client, middle, ratio
from scripts.serving.case import Wish, models_of
from switch.threads import threads_for

_LONGEST_SEC = 120
_BUSY = "import sys, time\nend = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"
_POLL_EVERY_SEC = 0.01
_PEER_TOKENS = 16


@contextlib.contextmanager
def _neighbour(*, is_there: bool) -> Iterator[None]:
    """Another program that takes all of one core, if it `is_there`."""
    if not is_there:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", _BUSY, str(_LONGEST_SEC)]) as busy:
        try:
            yield
        finally:
            busy.kill()


async def measure(wish: Wish) -> dict[str, Any]:
    """Alone and with the neighbour in turns."""
    speed: dict[bool, list[float]] = {False: [], True: []}
    health: dict[bool, list[float]] = {False: [], True: []}
    spinning: dict[bool, list[float]] = {False: [], True: []}
    with running_fleet([wish.smallest]) as fleet:
        async with Client(fleet.url) as client:
            [model] = await models_of(client)
            await client.stream({"model": model, "prompt": "Warm up.", "max_tokens": 8})
            for run in range(wish.runs):
                for busy in (False, True):
                    body = {"model": model, "prompt": prompts(1, 1 + run)[0], "max_tokens": 2 * wish.tokens}
                    with _neighbour(is_there=busy):
                        polling = asyncio.create_task(_poll(client, health[busy]))
                        answer = await client.together([body])
                        polling.cancel()
                    speed[busy].append(answer.decode_tokens_per_sec)
                    if run < 3:
                        spinning[busy].append(_spinning(wish, busy=busy))
    return {
        "model": wish.smallest.name,
        "runs": wish.runs,
        "decode_tokens_per_sec": {"alone": middle(speed[False]), "beside": middle(speed[True])},
        "kept": ratio(speed[True], speed[False]),
        "kept_by_spinning_loop": ratio(spinning[True], spinning[False]),
        "health_ms": {"alone": _spread(health[False]), "beside": _spread(health[True])},
    }


async def _poll(client: Client, took_ms: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await client.get("/health")
        took_ms.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(_POLL_EVERY_SEC)


def _spinning(wish: Wish, *, busy: bool) -> float:
    cores = threads_for(None, None).prompt
    with _neighbour(is_there=busy):
        [found] = measure_peer(
            wish.smallest,
            streams=(1,),
            tokens=_PEER_TOKENS,
            runs=1,
            threads=cores,
            threads_batch=cores,
            environment=inherited_environment(),
        )
    return found.decode_tokens_per_second


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "asked": len(ordered),
        "p50": round(statistics.median(ordered), 1),
        "p99": round(ordered[int(len(ordered) * 0.99)], 1),
        "max": round(ordered[-1], 1),
    }
