"""A window from asking to all `ready`, and from closing to all down, beside what Compose does with the same services.

Both sides have made their containers before; the peer's project has no madre who would interfere, and ours stands
still while the peer is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from config.services import CORE, present_services
from scripts.composed.project import Project, running_project
from scripts.measuring import median

SLEEPERS = [service.name for service in present_services() if service.sleeps]


def measure(project: Project, runs: int) -> dict[str, Any]:
    """Ours and both peers in turns, `runs` times; medians, and their ratios."""
    present = [service.name for service in present_services()]
    open_ms: dict[str, list[float]] = {"window": [], "up_wait": [], "up_and_poll": []}
    close_ms: dict[str, list[float]] = {"window": [], "stop": []}
    with running_project(present, VX11_POWER_DRIVER="noop") as plain:
        plain.compose("stop")
        _opened(project)  # the first one makes the containers
        _closed(project)
        for _ in range(runs):
            open_ms["window"].append(elapsed_ms(lambda: _opened(project)))
            close_ms["window"].append(elapsed_ms(lambda: _closed(project)))
            with project.paused():
                open_ms["up_wait"].append(elapsed_ms(lambda: plain.up(*SLEEPERS, wait=True)))
                close_ms["stop"].append(elapsed_ms(lambda: plain.compose("stop", *SLEEPERS)))
                open_ms["up_and_poll"].append(elapsed_ms(lambda: _up_and_poll(plain)))
                close_ms["stop"].append(elapsed_ms(lambda: plain.compose("stop", *SLEEPERS)))
            project.until_ready(*CORE)
    opened = {way: median(times, 0) for way, times in open_ms.items()}
    closed = {way: median(times, 0) for way, times in close_ms.items()}
    return {
        "services": SLEEPERS,
        "open_ms": opened,
        "open_over_up_wait": round(opened["window"] / opened["up_wait"], 3),
        "open_over_up_and_poll": round(opened["window"] / opened["up_and_poll"], 3),
        "close_ms": closed,
        "close_over_stop": round(closed["window"] / closed["stop"], 3),
    }


def elapsed_ms(act: Callable[[], object]) -> float:
    """Milliseconds that `act` takes."""
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def _opened(project: Project) -> None:
    _window(project, "open", {"services": SLEEPERS, "mode": "hold"}, "open")


def _closed(project: Project) -> None:
    _window(project, "close", {}, "closed")


def _window(project: Project, act: str, body: dict[str, Any], state: str) -> None:
    with project.client("madre") as client:
        window = client.post(f"/madre/power/window/{act}", json=body)
    if window.raise_for_status().json()["state"] != state:
        raise RuntimeError(f"the window is not {state}: {window.text}")


def _up_and_poll(project: Project) -> None:
    project.up(*SLEEPERS)
    project.until_ready(*SLEEPERS)
