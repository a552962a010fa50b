"""Madre's plans: how long a sentence takes, a confirmation, a durable step, a read; and what she weighs.

Parse: every sentence of the tests' set, several times. Confirmation: from the POST that confirms a plan until its first
step began, as madre's own rows have it, and the whole POST as its caller sees it; on a real fleet, warm and for the
first time. Steps: plans of steps whose effect is one row of madre's own, through the real composition in this process,
one plan after another and many at once. Peer: the same number of steps on DBOS as it comes (its own SQLite driver, no
rows, no events, no effect), recorded by it step by step. Daughters: see `bench_daughters.py`. Reads: at a steady rate,
whatever answers come back or not, so a slow answer delays no other.

    python -m scripts.bench_madre [--seconds N]        prints JSON
    locust -f scripts/locust_madre.py …                 the reads and sentences for longer; see there
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import httpx

from config.app import build_house
from config.auth import Role
from config.clients import door
from config.clock import SystemClock
from config.contracts.plans import Risk, Status
from config.db_schema import Base, new_id
from config.memory import pss_mb
from config.services import FLEET
from config.settings import PowerSettings, Settings
from madre import plan as life
from madre.actions import action_named
from madre.app import create
from madre.language import read
from madre.plan import Asked, Plan, Step
from madre.store import plans, steps
from scripts import bench_daughters
from scripts.measuring import REPOSITORY, TOKEN, MeasuredFleet, running_fleet

_SENTENCES = REPOSITORY / "tests/unit/madre/language/sentences.json"
_ROUNDS = 5
_STEPS = 20
_PLANS = 20
_CONFIRMED = 30
_RATE = 100
_MED = {"action": "audit.verify"}  # waits for a confirmation, changes nothing
_PEER = """
import sys, time
from dbos import DBOS, DBOSConfig
config: DBOSConfig = {"name": "peer", "system_database_url": "sqlite:///" + sys.argv[1], "log_level": "ERROR"}
DBOS(config=config)
@DBOS.step()
def step(number: int) -> int: return number
@DBOS.workflow()
def plan(steps: int) -> None:
    for number in range(steps): step(number)
DBOS.launch()
plan(3)
plans, steps = int(sys.argv[2]), int(sys.argv[3])
began = time.perf_counter()
for _ in range(plans): plan(steps)
print(plans * steps / (time.perf_counter() - began))
began = time.perf_counter()
handles = [DBOS.start_workflow(plan, steps) for _ in range(plans)]
for handle in handles: handle.get_result(polling_interval_sec=0.01)
print(plans * steps / (time.perf_counter() - began))
DBOS.destroy()
"""


def quantiles_ms(seconds: list[float]) -> dict[str, float]:
    """p50, p95, p99 and the worst of some durations, milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    names = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(seconds)}
    return {name: round(value * 1000, 3) for name, value in names.items()}


def parsed() -> dict[str, Any]:
    """How long a sentence takes."""
    sentences = [row["text"] for row in json.loads(_SENTENCES.read_text())]
    now, services, spent = SystemClock().now(), list(FLEET), []
    for text in sentences * _ROUNDS:
        began = time.perf_counter()
        read(text, now=now, services=services)
        spent.append(time.perf_counter() - began)
    return {"sentences": len(sentences), **quantiles_ms(spent[len(sentences) :])}


def made_plan(length: int) -> Plan:
    """A plan of so many steps that each leave one event, let run."""
    action = action_named("comm.notify")
    told = {"message": "measured"}
    row = [Step(number, action.name, action.step_type, told, Risk.LOW) for number in range(1, length + 1)]
    now = SystemClock().now()
    asked = Asked("bench", Role.ADMIN, "measured", "bench", "bench")
    plan = Plan(new_id("plan"), asked, tuple(row), Risk.LOW, (), Status.WAITING, {}, now)
    return life.started(plan, now)


async def stepped() -> dict[str, Any]:
    """Durable steps a second, in this process."""
    with tempfile.TemporaryDirectory(prefix="vx11-bench-") as folder:
        power = PowerSettings(driver="noop")
        settings = Settings(token=TOKEN, data_path=Path(folder), models_path=Path(folder), power=power)  # type: ignore[arg-type]
        house = build_house("madre", settings)
        Base.metadata.create_all(house.db.writer)
        app = create(house)
        idle = pss_mb(os.getpid())
        async with app.router.lifespan_context(app):

            async def run(*batch: Plan) -> float:
                with house.db.write() as session:
                    for plan in batch:
                        plans.keep_plan(session, plan, plan.created_at)
                began = time.perf_counter()
                for plan in batch:
                    await app.state.runner.start(plan.plan_id)
                wanted = {plan.plan_id for plan in batch}
                while wanted:
                    await asyncio.sleep(0.005)
                    if (
                        not app.state.runner.in_hand()
                    ):  # asking the database all the time would slow down what is measured
                        wanted &= set(await house.db.reading(steps.to_run))
                return time.perf_counter() - began

            await run(made_plan(3))
            one_by_one = sum([await run(made_plan(_STEPS)) for _ in range(_PLANS)])
            at_once = await run(*(made_plan(_STEPS) for _ in range(_PLANS)))
            launched = pss_mb(os.getpid())
    return {
        "steps": _STEPS * _PLANS,
        "per_sec_one_plan_at_a_time": round(_STEPS * _PLANS / one_by_one, 1),
        "per_sec_many_plans_at_once": round(_STEPS * _PLANS / at_once, 1),
        "process_mb_before_and_after": [idle, launched],
    }


def peer() -> dict[str, float]:
    """The same number of steps on DBOS as it comes."""
    with tempfile.TemporaryDirectory(prefix="vx11-bench-") as folder:
        argv = [sys.executable, "-c", _PEER, f"{folder}/peer.db", str(_PLANS), str(_STEPS)]
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    return {"per_sec_one_plan_at_a_time": round(float(said[0]), 1), "per_sec_many_at_once": round(float(said[1]), 1)}


def confirmed(client: httpx.Client) -> tuple[float, float]:
    """Seconds from a confirmation to the first step as rows have it, and of the whole POST."""
    waiting = client.post("/madre/control", json=_MED).raise_for_status().json()
    path = f"/madre/plans/{waiting['plan_id']}"
    time.sleep(0.05)  # as a person reads what they are to confirm
    began = time.perf_counter()
    client.post(f"{path}/confirm", json={"confirm_token": waiting["confirm_token"]}).raise_for_status()
    posted = time.perf_counter() - began
    while True:
        plan = client.get(path).raise_for_status().json()
        if plan["finished_at"]:
            break
        time.sleep(0.01)
    if plan["status"] != "DONE":
        raise RuntimeError(f"the plan ended in {plan['status']}: {plan['error']}")
    return _moment(plan["steps"][0]["started_at"]) - _moment(plan["confirmed_at"]), posted


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def at_rate(url: str, paths: list[str], seconds: float) -> dict[str, Any]:
    """Reads at a steady rate: each begins when its moment has come, whatever became of those before it."""
    spent: list[float] = []
    statuses: dict[int, int] = {}
    headers = {"x-vx11-token": TOKEN}
    async with aiohttp.ClientSession(url, headers=headers, connector=aiohttp.TCPConnector(limit=0)) as http:

        async def one(path: str, due: float) -> None:
            await asyncio.sleep(due - time.perf_counter())
            async with http.get(path) as answer:
                await answer.read()
                statuses[answer.status] = statuses.get(answer.status, 0) + 1
            spent.append(time.perf_counter() - due)

        began, number = time.perf_counter() + 0.1, int(_RATE * seconds)
        await asyncio.gather(
            *(one(path, began + index / _RATE) for index, path in zip(range(number), itertools.cycle(paths)))
        )
        took = time.perf_counter() - began
    return {"wanted_per_sec": _RATE, "per_sec": round(number / took, 1), "statuses": statuses, **quantiles_ms(spent)}


async def flat_out(url: str, paths: list[str], seconds: float, connections: int = 8) -> float:
    """Reads a second that so many connections get, each asking as soon as it was answered."""
    done = 0
    until = time.perf_counter() + seconds
    async with aiohttp.ClientSession(url, headers={"x-vx11-token": TOKEN}) as http:

        async def ask() -> None:
            nonlocal done
            for path in itertools.cycle(paths):
                if time.perf_counter() > until:
                    return
                async with http.get(path) as answer:
                    await answer.read()
                done += 1

        await asyncio.gather(*(ask() for _ in range(connections)))
    return round(done / seconds, 1)


def madre_pid(fleet: MeasuredFleet) -> int:
    """Her process."""
    children = Path(f"/proc/{fleet.pid}/task/{fleet.pid}/children").read_text().split()
    return next(int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == "vx11:madre")


def on_a_fleet(seconds: float) -> dict[str, Any]:
    """What only a real fleet can tell."""
    with running_fleet() as fleet:
        madre = f"http://127.0.0.1:{fleet.port + 1}"
        with door(madre, TOKEN) as client:
            pid = madre_pid(fleet)
            weight = {"idle": pss_mb(pid)}
            first = confirmed(client)
            warm = [confirmed(client) for _ in range(_CONFIRMED)]
            weight["with_plans"] = pss_mb(pid)
            plan_id = client.get("/madre/plans").raise_for_status().json()["items"][0]["plan_id"]
        paths = ["/madre/plans?limit=20", f"/madre/plans/{plan_id}", "/madre/power/state", "/madre/autonomous"]
        reads: dict[str, Any] = {"paths": paths}
        reads["straight"] = asyncio.run(at_rate(madre, paths, seconds))
        reads["through_the_door"] = asyncio.run(at_rate(fleet.url, paths, seconds))
        reads["flat_out_per_sec"] = asyncio.run(flat_out(madre, paths, min(seconds, 5)))
        weight["after_reads"] = pss_mb(pid)
    return {
        "confirm_to_first_step_ms": {
            "first": round(first[0] * 1000, 1),
            **quantiles_ms([step for step, _ in warm]),
        },
        "confirm_post_ms": {"first": round(first[1] * 1000, 1), **quantiles_ms([post for _, post in warm])},
        "reads": reads,
        "memory_mb": weight,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="how long reads are made")
    seconds = parser.parse_args().seconds
    parts: dict[str, Callable[[], Any]] = {
        "parse_ms": parsed,
        "durable_steps": lambda: asyncio.run(stepped()),
        "peer_bare_dbos": peer,
        "daughters": bench_daughters.measured,
        "fleet": lambda: on_a_fleet(seconds),
    }
    print(json.dumps({name: measure() for name, measure in parts.items()}, indent=2))


if __name__ == "__main__":
    main()
