"""The fleet at a glance, as lines: who sleeps, who works, what it takes, which windows are open."""

from __future__ import annotations

from config.contracts.power import Window
from config.contracts.status import FleetService, FleetStatus
from scripts.quantities import seconds_in_words
from scripts.terminal import Terminal

_STATE_WIDTH = 9


def board(status: FleetStatus, terminal: Terminal) -> list[str]:
    """`status` as lines for a person."""
    present = [service for service in status.services if service.state != "absent"]
    absent = [service.name for service in status.services if service.state == "absent"]
    total = sum(service.memory_mb or 0 for service in present)
    lines = [f"  policy {status.policy or 'unknown'}, {total:.0f} MB in all"]
    lines += [_service_line(service, terminal) for service in present]
    if absent:
        lines.append(terminal.dim(f"  not in this build: {', '.join(absent)}"))
    lines += [_window_line(window) for window in status.windows]
    lines += [terminal.uneasy(f"  note: {note}") for note in status.notes]
    return lines


def _service_line(service: FleetService, terminal: Terminal) -> str:
    paint = {"ready": terminal.good, "asleep": terminal.dim, "failed": terminal.bad}.get(service.state, terminal.uneasy)
    memory = f"{service.memory_mb:>5.0f} MB" if service.memory_mb is not None else " " * 8
    restarts = f"  restarted {service.restarts} times" if service.restarts else ""
    state = paint(f"{service.state:<{_STATE_WIDTH}}")
    return f"  {service.name:<16} {state} :{service.port} {memory}{_figures(service)}{restarts}".rstrip()


def _figures(service: FleetService) -> str:
    """The last minute: CPU, of one core, and, where there were requests, how long answers took to begin."""
    usage, traffic = service.figures.usage, service.figures.traffic
    words = "" if usage is None or usage.cpu_percent is None else f"{usage.cpu_percent:>6.1f} % CPU"
    if traffic is not None and traffic.p99_ms is not None:
        errors = f", {traffic.errors} errors" if traffic.errors else ""
        words += f"  {traffic.requests} requests, p99 {traffic.p99_ms:.0f} ms{errors}"
    return words


def _window_line(window: Window) -> str:
    left = "held open" if window.ttl_remaining_sec is None else f"{seconds_in_words(window.ttl_remaining_sec)} left"
    reason = f" ({window.reason})" if window.reason else ""
    return f"  window {window.window_id}: {', '.join(window.services)}, {left}, by {window.opened_by}{reason}"
