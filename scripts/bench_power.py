"""Waking a service, and what the fleet weighs asleep and awake, beside a service spawned the plain way.

Wake: from the POST that opens a window until its answer says `open`, through madre's API on a real fleet. Peer: a
fresh interpreter that imports FastAPI, SQLAlchemy, httpx and uvicorn, until its `/ready` answers; it does not
even open a database. Memory is PSS (shared pages by share), so the figures of several processes add up.

    python -m scripts.bench_power [--runs N]        prints JSON
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from config.memory import pss_mb
from config.services import CORE, present_services
from config.settings import inherited_environment
from scripts.measuring import MeasuredFleet, free_offset, median, running_fleet

_SETTLE_SEC = 3.0
_PEER = """
import sys
import aiohttp, httpx, jwt, prometheus_client, pydantic_settings, sqlalchemy.orm, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.get("/ready")
async def ready() -> dict: return {"ready": True}
uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", log_config=None, access_log=False)
"""


def weight_mb(pid: int) -> float:
    """The proportional set size of `pid`, MiB; a process that cannot be measured ends the bench."""
    measured = pss_mb(pid)
    if measured is None:
        raise RuntimeError(f"process {pid} is gone, or its memory cannot be read")
    return round(measured, 1)


def weighed(fleet: MeasuredFleet) -> dict[str, float]:
    """PSS of every process of the fleet by name, MiB, and their sum."""
    children = Path(f"/proc/{fleet.pid}/task/{fleet.pid}/children").read_text().split()
    pids = [fleet.pid, *(int(pid) for pid in children)]
    found = {Path(f"/proc/{pid}/comm").read_text().strip(): weight_mb(pid) for pid in pids}
    return {**found, "total": round(sum(found.values()), 1)}


def woken_ms(fleet: MeasuredFleet, client: httpx.Client, service: str) -> float:
    """Milliseconds from asking madre for a sleeping service to its being ready; it sleeps again afterwards."""
    madre = f"http://127.0.0.1:{fleet.port + 1}/madre/power"
    began = time.perf_counter()
    window = client.post(f"{madre}/window/open", json={"services": [service]})
    elapsed = time.perf_counter() - began
    if window.raise_for_status().json()["state"] != "open":
        raise RuntimeError(f"the window did not open: {window.text}")
    client.post(f"{madre}/window/close", json={}).raise_for_status()
    return elapsed * 1000


def peer_ms(bytecode: str) -> float:
    """Milliseconds from spawning a fresh interpreter to its `/ready`; `bytecode` keeps what it compiled."""
    port = 8000 + free_offset()
    unwritten = {name: value for name, value in inherited_environment().items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**unwritten, "PYTHONPYCACHEPREFIX": bytecode}
    argv = [sys.executable, "-c", _PEER, str(port)]
    began = time.perf_counter()
    with subprocess.Popen(argv, env=environment) as peer, httpx.Client() as client:
        try:
            while True:
                try:
                    client.get(f"http://127.0.0.1:{port}/ready").raise_for_status()
                    return (time.perf_counter() - began) * 1000
                except httpx.TransportError:
                    time.sleep(0.005)
        finally:
            peer.kill()


def measure(runs: int) -> dict[str, object]:
    """Everything, on one fleet, ours and the peer in turns."""
    sleepers = [service.name for service in present_services() if service.name not in CORE]
    with running_fleet() as fleet, fleet.door() as client, tempfile.TemporaryDirectory() as bytecode:
        peer_ms(bytecode)  # the first one compiles; a user's packages are compiled when they are installed
        time.sleep(_SETTLE_SEC)
        idle = weighed(fleet)
        ours: dict[str, list[float]] = {service: [] for service in sleepers}
        peer = []
        for _ in range(runs):
            for service in sleepers:
                ours[service].append(woken_ms(fleet, client, service))
            peer.append(peer_ms(bytecode))
        client.post(f"http://127.0.0.1:{fleet.port + 1}/madre/power/window/open", json={"services": sleepers})
        time.sleep(_SETTLE_SEC)
        awake = weighed(fleet)
    slowest = max(median(times) for times in ours.values())
    return {
        "runs": runs,
        "wake_ms": {service: median(times, 1) for service, times in ours.items()},
        "wake_peer_ms": median(peer, 1),
        "wake_peer_over_ours": round(median(peer) / slowest, 2),
        "idle_pss_mb": idle,
        "awake_pss_mb": awake,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="wakes of each service, and of the peer")
    print(json.dumps(measure(parser.parse_args().runs), indent=2))


if __name__ == "__main__":
    main()
