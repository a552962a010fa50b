"""One model in memory, room for one, the other asked for: its first token beside a bare fresh process that loads it.

Twice: with the files in the page cache, and with the asked-for file dropped from it, so that it comes from the disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from config.settings import inherited_environment
from scripts.bench_worker import prompts
from scripts.measuring import REPOSITORY, running_fleet
from scripts.serving.asking import Client, middle, ratio
from scripts.serving.case import Wish, models_of, shown
from switch.threads import threads_for
from switch.worker.spec import worker_environment

PROMPT = prompts(1)[0]


async def budget_for_one(files: tuple[Path, ...]) -> int:
    """MiB in which the larger of two models fits, but not both."""
    with running_fleet(files) as fleet:
        async with Client(fleet.url) as client:
            sizes = []
            for name in await models_of(client):
                await client.stream({"model": name, "prompt": "Hello.", "max_tokens": 1})
                sizes.append((await shown(client, name))["reserved_mb"])
    return int(max(sizes) + min(sizes) / 2)


async def measure(wish: Wish) -> dict[str, Any]:
    """Swaps to the second smallest model and fresh processes in turns, `wish.runs` times each way."""
    if len(wish.files) < 2:
        raise RuntimeError("two models are needed to swap them")
    files = wish.files[:2]
    found: dict[str, list[float]] = {"swap": [], "fresh": [], "swap_from_disk": [], "fresh_from_disk": []}
    budget = await budget_for_one(files)
    with running_fleet(files, VX11_MODEL_MEMORY_MB=str(budget)) as fleet:
        async with Client(fleet.url) as client:
            first, second = await _in_order_of(client, files)
            await _ask(client, second)
            for _ in range(wish.runs):
                for suffix in ("", "_from_disk"):
                    await _ask(client, first)
                    _forget(files[1], really=bool(suffix))
                    found[f"fresh{suffix}"].append(_fresh_ms(files[1]))
                    _forget(files[1], really=bool(suffix))
                    found[f"swap{suffix}"].append(await _ask(client, second))
                    if (await shown(client, first))["stage"] == "ready":
                        raise RuntimeError(f"both models fit into {budget} MiB: nothing was swapped")
    return {
        "from": files[0].name,
        "to": files[1].name,
        "runs": wish.runs,
        "budget_mb": budget,
        "first_token_ms": {name: middle(times) for name, times in found.items()},
        "ratio": ratio(found["swap"], found["fresh"]),
        "ratio_from_disk": ratio(found["swap_from_disk"], found["fresh_from_disk"]),
    }


async def _in_order_of(client: Client, files: tuple[Path, ...]) -> list[str]:
    """The models' names in the order of their files: the registry writes names in lower case."""
    names = await models_of(client)
    return [next(name for name in names if file.stem.lower().startswith(name[:8])) for file in files]


async def _ask(client: Client, model: str) -> float:
    return (await client.stream({"model": model, "prompt": PROMPT, "max_tokens": 4})).first_ms


def _forget(file: Path, *, really: bool) -> None:
    """Have the kernel drop a file's pages; those that a process has mapped stay."""
    if really:
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _fresh_ms(file: Path) -> float:
    """Milliseconds from spawning the bare process to its first token, with a worker's threads."""
    threads = threads_for(None, None)
    command = [sys.executable, "-m", "scripts.serving.fresh", str(file), "--prompt", PROMPT]
    command += ["--threads", str(threads.decode), "--threads-batch", str(threads.prompt)]
    environment = worker_environment(inherited_environment())
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE) as fresh:
        assert fresh.stdout is not None
        said = fresh.stdout.readline()
        elapsed = time.perf_counter() - began
    if not said:
        raise RuntimeError("the fresh process said nothing")
    return elapsed * 1000
