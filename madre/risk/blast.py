"""Blast radius: how much of the house a step would touch as things are now. Pure.

A reason says one thing and no counts of what comes and goes, so that one that was not there before means more harm.
"""

from __future__ import annotations

from collections.abc import Iterator

from config.contracts.plans import Risk
from config.services import CORE, FLEET
from madre.risk.finding import Deed, Finding

_MANY_SERVICES = 4
_MANY_STEPS = 8
_STOPPING = frozenset({"service.stop", "service.restart"})
_ON_WINDOWS = frozenset({"power.close_window", "power.hold_window", "power.extend_window"})  # a new end may be at once


def look_at_blast(deed: Deed) -> Iterator[Finding]:
    """What would be touched beside what was named, or is too much at once."""
    services = deed.arguments.get("services") or ()
    if len(services) >= _MANY_SERVICES:
        yield Finding(Risk.MED, f"{len(services)} services at once")
    if deed.action.changes and deed.steps > _MANY_STEPS:
        yield Finding(Risk.MED, f"it is one of {deed.steps} steps")
    if deed.action.name in _STOPPING:
        yield from _stopping(deed)
    elif deed.action.name == "power.apply_policy":
        yield from _policy(deed)
    elif deed.action.name in _ON_WINDOWS:
        yield from _on_windows(deed)
    elif deed.action.name in ("models.delete", "models.disable"):
        yield from _taking_a_model(deed)


def _stopping(deed: Deed) -> Iterator[Finding]:
    service = str(deed.arguments["service"])
    if service in CORE:
        yield Finding(Risk.HIGH, f"{service} is core: without it nothing answers")
    if holders := {window.opened_by for window in deed.world.holding(service)}:
        yield Finding(Risk.HIGH, f"{service} is held by {', '.join(sorted(holders))}")
    if FLEET[service].holds_models and deed.world.is_up(service):
        yield Finding(Risk.HIGH, f"every answer that {service} is giving would break off")


def _policy(deed: Deed) -> Iterator[Finding]:
    if deed.arguments["policy"] == deed.world.policy:
        return
    world = deed.world
    if deed.arguments["policy"] == "full":
        asleep = [name for name in world.services if name not in CORE and not world.is_up(name)]
        if len(asleep) >= _MANY_SERVICES:
            yield Finding(Risk.HIGH, f"{_MANY_SERVICES} services or more would start")
        return
    for name in world.services:
        if name not in CORE and world.is_up(name) and not world.holding(name):
            yield Finding(Risk.HIGH, f"{name} would stop")


def _on_windows(deed: Deed) -> Iterator[Finding]:
    """Whose window it is.

    Which one it is, where no id is said, is decided when it runs, but only among those that are looked at here and
    those that the user opens: `flows/executors/power.py` sees to that.
    """
    window_id, services = deed.arguments.get("window_id"), set(deed.arguments.get("services") or ())
    for window in deed.world.asked_windows():
        meant = window_id in (None, window.window_id) and (not services or services & set(window.services))
        if meant and window.opened_by != deed.user:
            yield Finding(Risk.MED, f"{window.window_id} is {window.opened_by}'s")


def _taking_a_model(deed: Deed) -> Iterator[Finding]:
    name = str(deed.arguments["model"])
    others = [model.name for model in deed.world.models.values() if model.enabled and model.name != name]
    model = deed.world.models.get(name)
    if model is not None and model.enabled and not others:
        yield Finding(Risk.HIGH, f"{name} is the only model that can be used")
