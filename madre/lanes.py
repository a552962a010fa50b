"""The rails: which service an intent of a domain and kind belongs to, and the rule it runs under. Pure.

A lane is written `domain/kind`; `*` is every kind of a domain without a lane of its own. The table `rails_lanes` holds
them; `BUILT_IN` is what madre puts there: the lanes of CONTRACT, section 5, and one for every other action. An intent
whose lane is not there ends `lane_missing`: nothing is guessed, and closing a lane closes all that runs in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from config.contracts.plans import StepType
from config.errors import Conflict, LaneMissing
from madre.actions import Action

ANY = "*"
# What is done without changing anything anywhere, whoever does it.
_DRAWS_UP_ONLY = frozenset({StepType.CALL_MANIFESTATOR, StepType.NOOP, StepType.SYSTEM_HEALTHCHECK})


class Rule(StrEnum):
    """What a lane demands of an action."""

    OWNER = "owner"  # its owner does it: no more
    MADRE_ONLY = "madre_only"  # madre herself does it
    PLAN_ONLY = "plan_only"  # it ends with a plan that somebody reads
    READ_ONLY = "read_only"  # it changes nothing
    REQUIRES_CONFIRMATION = "requires_confirmation"  # it waits for a person, however harmless


@dataclass(frozen=True, slots=True)
class Lane:
    """One row of the rails."""

    domain: str
    kind: str
    owner: str
    rule: Rule
    is_open: bool = True

    @property
    def name(self) -> str:
        """As people write it."""
        return f"{self.domain}/{self.kind}"


Lanes = Mapping[str, Lane]

BUILT_IN: tuple[Lane, ...] = (
    Lane("execution", "stabilize_cpu", "madre", Rule.MADRE_ONLY),
    Lane("structure", "fs_drift", "manifestator", Rule.PLAN_ONLY),
    Lane("comm", "notify", "switch", Rule.OWNER),
    Lane("db", "sanity", "madre", Rule.READ_ONLY),
    Lane("security", "audit", "madre", Rule.REQUIRES_CONFIRMATION),
    Lane("audio", ANY, "shub", Rule.OWNER),
    # Ours, for what the contract's lanes do not lead to: by the first word of an action's name.
    Lane("power", ANY, "madre", Rule.MADRE_ONLY),
    Lane("service", ANY, "madre", Rule.MADRE_ONLY),
    Lane("system", ANY, "madre", Rule.MADRE_ONLY),
    Lane("plans", ANY, "madre", Rule.MADRE_ONLY),
    Lane("autonomy", ANY, "madre", Rule.MADRE_ONLY),
    *(Lane("models", kind, "hermes", Rule.OWNER) for kind in ("list", "pull", "enable", "disable", "delete")),
    *(Lane("models", kind, "switch", Rule.OWNER) for kind in ("load", "unload")),
    Lane("hermes", ANY, "hermes", Rule.OWNER),
    Lane("switch", ANY, "switch", Rule.OWNER),
    Lane("task", ANY, "spawner", Rule.OWNER),
    Lane("scan", ANY, "hormiguero", Rule.READ_ONLY),
    Lane("browser", ANY, "operator", Rule.OWNER),
)


def by_name(lanes: Iterable[Lane]) -> Lanes:
    """The lanes, to be found by name."""
    return {lane.name: lane for lane in lanes}


def lane_named(lanes: Lanes, name: str) -> Lane:
    """The lane called `domain/kind`, or its domain's `*`; LaneMissing, with the lanes that are open, for any other.

    One that is closed by its own name is closed, though its domain's `*` be open.
    """
    domain, _, kind = name.partition("/")
    found = lanes.get(name) or (lanes.get(f"{domain}/{ANY}") if kind else None)
    if found is None or not found.is_open:
        there = sorted(name for name, lane in lanes.items() if lane.is_open)
        raise LaneMissing(f"No lane leads to {name!r}.", hint=f"There are: {', '.join(there) or 'none'}.")
    return found


def lane_of(lanes: Lanes, action: Action) -> Lane:
    """The lane that `action` runs in: the one it declares, else the one of its name; LaneMissing where none is open."""
    return lane_named(lanes, name_of(action))


def name_of(action: Action) -> str:
    """What the lane of an action is called: `power/open_window` for `power.open_window` that declares none."""
    return action.lane or action.name.replace(".", "/", 1)


def must_keep_to(lane: Lane, action: Action) -> None:
    """Conflict unless `action` is what the lane's rule allows, and the lane's owner does it."""
    if broken := _broken(lane, action):
        raise Conflict(f"The lane {lane.name} does not allow {action.name}: {broken}.")


def _broken(lane: Lane, action: Action) -> str | None:
    if action.owner != lane.owner:
        return f"it belongs to {lane.owner}, and {action.owner} would do it"
    if lane.rule is Rule.MADRE_ONLY and action.owner != "madre":
        return "madre alone may act there"
    if lane.rule is Rule.READ_ONLY and action.changes:
        return f"it changes {', '.join(action.writes)}, and the lane is for reading"
    if lane.rule is Rule.PLAN_ONLY and (action.changes or action.step_type not in _DRAWS_UP_ONLY):
        return "nothing is applied there, only drawn up"
    return None
