"""What every case is given, and what cases share: the model's name, the processes of a fleet, waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.memory import pss_mb
from scripts.measuring import MeasuredFleet
from scripts.serving.asking import Client

_PATIENCE_SEC = 60.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What to measure with: model files, smallest first; runs of each measurement; tokens of an answer."""

    files: tuple[Path, ...]
    runs: int
    tokens: int

    @property
    def smallest(self) -> Path:
        """The model that most cases use."""
        return self.files[0]


async def models_of(client: Client) -> list[str]:
    """The names under which the fleet serves its models."""
    return [model["id"] for model in (await client.get("/v1/models"))["data"]]


async def shown(client: Client, name: str) -> dict[str, Any]:
    """A model as Switch shows it."""
    models = (await client.get("/switch/models"))["models"]
    return next(model for model in models if model["name"] == name)


async def until(holds: Callable[[], Awaitable[bool]], *, every_sec: float = 0.02) -> None:
    """Return when `holds` is true; RuntimeError after a minute."""
    give_up = time.monotonic() + _PATIENCE_SEC
    while not await holds():
        if time.monotonic() > give_up:
            raise RuntimeError("a bench waited for a minute for what did not come")
        await asyncio.sleep(every_sec)


async def asleep(client: Client, name: str) -> None:
    """Have a model out of memory."""
    if (await shown(client, name))["stage"] != "asleep":
        await client.post(f"/switch/models/{name}/unload")

    async def is_asleep() -> bool:
        return bool((await shown(client, name))["stage"] == "asleep")

    await until(is_asleep)


def descendants(pid: int) -> list[int]:
    """The processes below `pid`, the nearest first."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*children, *(below for child in children for below in descendants(child))]


def process_named(fleet: MeasuredFleet, name: str) -> int:
    """The process of a service of the fleet."""
    wanted = f"vx11:{name}"[:15]
    return next(pid for pid in descendants(fleet.pid) if Path(f"/proc/{pid}/comm").read_text().strip() == wanted)


def worker_of(fleet: MeasuredFleet) -> int:
    """The process of the only worker."""
    (worker,) = descendants(process_named(fleet, "switch"))
    return worker


def weight_mb(fleet: MeasuredFleet) -> float:
    """PSS of every process of the fleet together, MiB."""
    return sum(pss_mb(pid) or 0.0 for pid in (fleet.pid, *descendants(fleet.pid)))
