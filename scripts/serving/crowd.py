"""A thousand requests of five callers through a full queue: everybody's share, the fleet's memory, honest refusals.

Each caller keeps another number of requests under way all the time, so whoever serves in the order of arrival gives the
greedy one most. A refused request comes again when it was told to. Shares are those of the answers made while all five
want more than they get.

Afterwards, one burst that overflows the queue, and nothing more: what its refusals were told (`Retry-After`), beside
the time until somebody was answered, and until the queue had drained.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from scripts.measuring import running_fleet
from scripts.serving.asking import Client, middle
from scripts.serving.case import Wish, models_of, weight_mb

CALLERS = {"ann": 4, "ben": 8, "cara": 12, "dora": 24, "emil": 48}
_QUEUE = 64
_BURST = 160
_REQUESTS_A_RUN = 200
_WARM_UP = 60
_SETTLE_SEC = 4.0


@dataclass
class _Tally:
    """What came of all requests so far."""

    wanted: int
    answered: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)
    told_sec: list[float] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def is_done(self) -> bool:
        return self.answered.total() >= self.wanted


async def measure(wish: Wish) -> dict[str, Any]:
    """`200 * wish.runs` answers: a thousand with five runs."""
    async with AsyncExitStack() as stack:
        fleet = stack.enter_context(running_fleet([wish.smallest], VX11_SWITCH_MAX_WAITING=str(_QUEUE)))
        admin = await stack.enter_async_context(Client(fleet.url))
        [model] = await models_of(admin)
        callers = {name: await stack.enter_async_context(await _caller(admin, fleet.url, name)) for name in CALLERS}
        await _crowd(callers, model, _Tally(_WARM_UP))
        before = await _settled_mb(fleet)
        tally = _Tally(_REQUESTS_A_RUN * wish.runs)
        began = time.perf_counter()
        await _crowd(callers, model, tally)
        seconds = time.perf_counter() - began
        after = await _settled_mb(fleet)
        burst = await _burst(callers["emil"], model)
    fair = tally.answered.total() / len(CALLERS)
    shares = {name: round(tally.answered[name] / fair, 3) for name in CALLERS}
    return {
        "model": wish.smallest.name,
        "answered": tally.answered.total(),
        "answered_per_sec": round(tally.answered.total() / seconds, 1),
        "under_way": CALLERS,
        "queue": _QUEUE,
        "share_of_fair": shares,
        "worst_share_error": round(max(abs(share - 1) for share in shares.values()), 3),
        "refused": dict(tally.refused),
        "neither_answered_nor_refused": tally.odd[:5],
        "fleet_pss_mb": {"before": round(before, 1), "after": round(after, 1), "ratio": round(after / before, 4)},
        "burst": burst,
    }


async def _caller(admin: Client, url: str, name: str) -> Client:
    made = await admin.post("/auth/tokens", {"user": name, "expires_in_sec": 3600})
    return Client(url, {"x-vx11-token": made["token"]})


async def _settled_mb(fleet: Any) -> float:
    await asyncio.sleep(_SETTLE_SEC)
    return await asyncio.to_thread(weight_mb, fleet)


async def _crowd(callers: dict[str, Client], model: str, tally: _Tally) -> None:
    """Everybody asks until enough has been answered; what is under way then is let go."""
    asking = [
        asyncio.create_task(_ask_on(callers[name], name, model, tally))
        for name, count in CALLERS.items()
        for _ in range(count)
    ]
    while not tally.is_done:
        await asyncio.sleep(0.01)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def _ask_on(client: Client, name: str, model: str, tally: _Tally) -> None:
    while not tally.is_done:
        status, retry_sec = await _ask(client, model, next(tally.numbers))
        if status == 200:
            tally.answered[name] += 1
        elif status == 429 and retry_sec is not None:
            tally.refused[name] += 1
            tally.told_sec.append(retry_sec)
            await asyncio.sleep(retry_sec)
        else:
            tally.odd.append(f"{status} with Retry-After {retry_sec}")
            await asyncio.sleep(0.1)


async def _ask(client: Client, model: str, number: int) -> tuple[int, float | None]:
    """One short request: its status, and when to come again if that was said."""
    body = {"model": model, "prompt": f"Number {number} is", "max_tokens": 4, "temperature": 0}
    async with client.open("/v1/completions", body) as answer:
        await answer.read()
        told = answer.headers.get("retry-after")
        return answer.status, None if told is None else float(told)


async def _burst(client: Client, model: str) -> dict[str, Any]:
    """More requests at once than the queue holds, and then silence."""
    began = time.perf_counter()

    async def one(number: int) -> tuple[float, int, float | None]:
        status, told = await _ask(client, model, number)
        return time.perf_counter() - began, status, told

    ends = await asyncio.gather(*(one(10_000 + number) for number in range(_BURST)))
    refusals = [(at, told) for at, status, told in ends if status == 429 and told is not None]
    answers = sorted(at for at, status, _ in ends if status == 200)
    if not refusals or not answers:
        return {"answered": len(answers), "refused": len(refusals)}
    refused_at, told = middle([at for at, _ in refusals], 3), middle([told for _, told in refusals], 2)
    drained = answers[-1] - refused_at
    return {
        "answered": len(answers),
        "refused": len(refusals),
        "retry_after_sec": {"median": told, "least": min(t for _, t in refusals), "most": max(t for _, t in refusals)},
        "somebody_answered_after_sec": round(next(at for at in answers if at > refused_at) - refused_at, 2),
        "drained_after_sec": round(drained, 2),
        "told_over_drained": round(told / drained, 2),
    }
