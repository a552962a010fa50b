"""docs/POWER_WINDOWS_SPEC.md is what the code does: its state machines, its calls, its settings, its drivers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

from fastapi.routing import APIRoute

from config.contracts.power import ServiceState, WindowState
from config.errors import Conflict
from config.settings import PowerSettings, Settings
from madre import lives, windows
from madre.drivers import Observed
from madre.lives import Life
from madre.routes.power import power
from madre.windows import Lease, Window
from scripts.doctor.settings_table import rows
from tests.support.tree import ROOT

SPEC = (ROOT / "docs" / "POWER_WINDOWS_SPEC.md").read_text()
NOW = datetime(2026, 11, 21, tzinfo=UTC)
EDGE = re.compile(r"^ +(\w+) --> (\w+): \S", re.MULTILINE)
CALL = re.compile(r"^\| `(GET|POST) (/madre/power/\S+)` ", re.MULTILINE)
SETTING = re.compile(r"^\| `(VX11_\w+)` \| `?([^|`]+?)`? \|", re.MULTILINE)
# Of one driver alone: the reference lists them.
OF_ONE_DRIVER = re.compile(r"VX11_POWER_(PROJECT|COMPOSE_FILE|ENGINE|GATE|STACK\w*|SWARM\w*)$")

Edges = set[tuple[str, str]]


def drawn(heading: str) -> Edges:
    """The transitions drawn under a heading; the beginning and the end of a life are none."""
    part = SPEC.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(EDGE.findall(part))


def moves_of_windows() -> Iterator[Callable[[Window], Window]]:
    yield lambda window: windows.opened(window, NOW)
    yield lambda window: windows.closing(window, "closed")
    yield lambda window: windows.closed(window, NOW)
    yield lambda window: windows.failed(window, "dead", NOW)
    yield lambda window: windows.expired(window, NOW)
    yield lambda window: windows.at_deadline(window, frozenset(), NOW)
    yield lambda window: windows.renewed(window, 60, NOW)
    yield lambda window: windows.extended(window, 60, NOW)
    yield lambda window: windows.held(window, True, NOW, 60)


def test_the_life_of_a_window_is_drawn_as_it_is() -> None:
    fresh = windows.new("w-1", Lease(("switch",), "ttl", 60, 3600, "ana", "", "asked"), NOW)
    assert fresh.state == "opening"
    found: Edges = set()
    for state in get_args(WindowState):
        for move in moves_of_windows():
            try:
                after = move(replace(fresh, state=state))
            except Conflict:
                continue
            found.add((state, after.state))
    assert {(before, after) for before, after in found if before != after} == drawn("The life of a window")


def lives_in(state: ServiceState) -> Iterator[Life]:
    """Every kind of life in `state`: with a process or before one, with few and with too many failures behind it."""
    has_process = {"starting": (False, True)}.get(state, (state in ("ready", "unready", "stopping"),))
    for runs in has_process:
        for failures in (0, lives.FAILURES_MAX - 1, lives.FAILURES_MAX):
            yield Life(state, NOW, "1" if runs else None, NOW if runs else None, failures=failures)


def after(life: Life) -> Iterator[Life]:
    """What may become of a life, by what is seen, answered, ordered, or given up."""
    same, other = Observed("1", NOW), Observed("2", NOW)
    for seen in (None, same, other, replace(same, stopping=True), replace(other, stopping=True)):
        yield lives.observed(life, seen, NOW)[0]
    if life.is_up:
        yield from (lives.answered(life, ready, NOW)[0] for ready in (True, False))
        yield lives.told_to_stop(life, NOW)
    if life.may_start(NOW):
        yield lives.ordered(life, NOW)
        yield lives.after_failure(life, NOW)[0]
    if lives.overdue(life, NOW, timeout_sec=0):
        yield lives.given_up(life, NOW)
    yield lives.forgiven(life)


def test_the_life_of_a_service_is_drawn_as_it_is() -> None:
    states = [state for state in get_args(ServiceState) if state != "absent"]
    found = {(state, one.state) for state in states for life in lives_in(state) for one in after(life)}
    assert {(before, later) for before, later in found if before != later} == drawn("The life of a service")


def test_every_call_is_listed_and_no_other() -> None:
    there = {
        (method, route.path) for route in power.routes if isinstance(route, APIRoute) for method in route.methods or ()
    }
    assert set(CALL.findall(SPEC)) == there


def test_every_setting_of_power_is_listed_with_its_default() -> None:
    wanted = {row.name: row.default for row in rows(PowerSettings()) if not OF_ONE_DRIVER.match(row.name)}
    control = next(row for row in rows(Settings()) if row.name == "VX11_ALLOW_SERVICE_CONTROL")
    listed = dict(SETTING.findall(SPEC))
    assert listed.keys() == {*wanted, control.name}
    for name, default in {**wanted, control.name: control.default}.items():
        assert listed[name] == default.removesuffix(".0"), name


def test_every_driver_is_listed() -> None:
    drivers = get_args(PowerSettings.model_fields["driver"].annotation)
    listed = re.findall(r"^\| `(\w+)` \| ", SPEC.partition("## Drivers")[2], re.MULTILINE)
    assert set(drivers) == set(listed)
