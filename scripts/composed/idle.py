"""What a fleet at rest takes: madre's processor time, which is what reconciling costs, and each container's memory."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from scripts.composed.project import Project
from scripts.composed.windows import SLEEPERS
from scripts.measuring import median

_SETTLE_SEC = 5.0
_LOOK_SEC = 10.0


def measure(project: Project, runs: int) -> dict[str, Any]:
    """With all asleep but the core, and with all awake; medians of `runs` looks at each."""
    with project.client("madre") as client:
        client.post("/madre/power/policy/solo_madre/apply", json={}).raise_for_status()
        asleep = _at_rest(project, runs)
        body = {"services": SLEEPERS, "mode": "hold"}
        client.post("/madre/power/window/open", json=body).raise_for_status()
        awake = _at_rest(project, runs)
        client.post("/madre/power/window/close", json={}).raise_for_status()
    return {"solo_madre": asleep, "awake": awake}


def _at_rest(project: Project, runs: int) -> dict[str, Any]:
    time.sleep(_SETTLE_SEC)
    percent: list[float] = []
    memory: dict[str, list[float]] = defaultdict(list)
    for _ in range(runs):
        before, began = project.cpu_sec("madre"), time.perf_counter()
        time.sleep(_LOOK_SEC)
        used = project.cpu_sec("madre") - before
        percent.append(100 * used / (time.perf_counter() - began))
        for service, taken in project.memory_mb().items():
            memory[service].append(taken)
    each = {service: median(taken, 1) for service, taken in sorted(memory.items())}
    return {"madre_cpu_percent": median(percent, 2), "memory_mb": {**each, "total": round(sum(each.values()), 1)}}
