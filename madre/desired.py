"""Which services should be up, and because of what. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from config.contracts.power import Policy, PolicyState
from config.services import CORE
from madre.windows import Window

Reasons = dict[str, tuple[str, ...]]


def desired(policy: Policy, windows: Iterable[Window], present: Iterable[str]) -> Reasons:
    """Each service that should be up, with what holds it: the house itself, the policy, windows by id."""
    reasons = {service: _standing(service, policy) for service in present}
    for window in windows:
        for service in window.services if window.holds else ():
            if service in reasons:
                reasons[service].append(window.window_id)
    return {service: tuple(why) for service, why in reasons.items() if why}


def _standing(service: str, policy: Policy) -> list[str]:
    """What holds `service` without any window."""
    if service in CORE:
        return ["core"]
    return ["policy full"] if policy == "full" else []


def policy_state(policy: Policy, windows: Iterable[Window]) -> PolicyState:
    """The policy as the state calls it: `windowed` while a window is open under solo_madre."""
    if policy == "solo_madre" and any(window.holds for window in windows):
        return "windowed"
    return policy
