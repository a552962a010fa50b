"""Every service that this build holds: it comes up, says it is well, and stays within its memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from config.contracts.health import Health
from config.contracts.power import Window, WindowClose, WindowOpen
from config.contracts.status import FleetService, FleetStatus
from config.services import CORE
from scripts.cli.door import Door
from scripts.cli.failure import CommandFailed
from scripts.doctor.finding import Finding, failure, ok, warning

REASON = "readiness check"
Beside = Callable[[str], AbstractContextManager[Door]]
_WINDOW_SEC = 120.0
_SLOW_MS = 50.0  # what CONTRACT 1 gives /health
_NEAR_LIMIT = 0.9
_MANY_RESTARTS = 3


def examine(door: Door, beside: Beside, *, wakes: bool) -> list[Finding]:
    """One finding a service; where `wakes`, sleepers are woken one by one, so that they need not fit together."""
    status = door.status()
    findings = [_whole(status)]
    for service in status.services:
        if service.state == "absent":
            continue
        try:
            with _awake(door, service, wakes=wakes) as is_up:
                findings.append(_health(service, beside) if is_up else ok(service.name, "asleep, and left so"))
        except CommandFailed as failed:
            findings.append(failure(service.name, failed.sentence, failed.remedy or "See ./vx11 doctor."))
    return [*findings, *(found for service in door.status().services if (found := figures(service)))]


def figures(service: FleetService) -> Finding | None:
    """A finding where what is measured of a service gives cause for one."""
    usage, traffic = service.figures.usage, service.figures.traffic
    if service.restarts > _MANY_RESTARTS:
        words = f"was started again {service.restarts} times after a failure"
        return warning(service.name, words, "Its log says why it ended: data/logs.")
    if usage and usage.memory_mb > _NEAR_LIMIT * usage.memory_limit_mb:
        return warning(service.name, f"takes {usage.memory_mb:.0f} of the {usage.memory_limit_mb:.0f} MiB it may take")
    if traffic and traffic.errors:
        words = f"{traffic.errors} of the {traffic.requests} requests of the last minute failed"
        return warning(service.name, words, "Its log says why: data/logs.")
    return None


def _whole(status: FleetStatus) -> Finding:
    if status.degraded:
        return failure("fleet", "; ".join(status.notes), "See ./vx11 doctor.")
    present = [service for service in status.services if service.state != "absent"]
    return ok("fleet", f"version {status.version}, policy {status.policy}, {len(present)} services in this build")


@contextmanager
def _awake(door: Door, service: FleetService, *, wakes: bool) -> Iterator[bool]:
    """Whether the service is up, woken for the block where it sleeps."""
    if service.name in CORE or service.state in ("ready", "unready"):
        yield True
        return
    if not wakes:
        yield False
        return
    window = door.open_window(WindowOpen(services=[service.name], ttl_sec=_WINDOW_SEC, reason=REASON))
    try:
        _must_be_open(window, service.name)
        yield True
    finally:
        door.close_window(WindowClose(window_id=window.window_id))


def _must_be_open(window: Window, service: str) -> None:
    if window.state != "open":
        raise CommandFailed(f"{service} did not become ready in time.", "Its log says more: data/logs.")


def _health(service: FleetService, beside: Beside) -> Finding:
    with beside(service.name) as own:
        health, elapsed_ms = _asked(own)
        if health.status != "ok" or not own.is_ready():
            bad = ", ".join(f"{name}: {value}" for name, value in health.checks.items() if value is False)
            return failure(service.name, f"says it is {health.status} {bad}".rstrip(), "Its log says more: data/logs.")
    words = f"healthy on port {service.port}, answers in {elapsed_ms:.1f} ms"
    return ok(service.name, words) if elapsed_ms < _SLOW_MS else warning(service.name, f"{words}: slow")


def _asked(own: Door) -> tuple[Health, float]:
    """How a service says it is, and the best of three times it takes to say so, ms."""
    times, health = [], own.health()
    for _ in range(3):
        began = time.monotonic()
        health = own.health()
        times.append(1000 * (time.monotonic() - began))
    return health, min(times)
