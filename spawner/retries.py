"""What the next try does otherwise, and when it may begin. Pure.

A retry that changes nothing mostly fails again, so each one declares its mutation: what it changes and why. A limit
that was hit grows; after an error the next of the job's own alternatives is taken, a tool asks another provider, and
where nothing else was declared the task is told to do half (`VX11_SCALE`), which is its own to heed. Only an attempt
that failed through no fault of its own starts afresh unchanged, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from config.contracts.spawning import MutationKind

BACKOFF_MAX_SEC: Final = 300.0
SCALE_MIN: Final = 1 / 64
_JITTER: Final = 0.25  # of the wait, either way, so that what failed together does not return together
_EXPONENT_MAX: Final = 32
# The limit that grows for each verdict.
_OUTGROWN: Final[Mapping[str, str]] = {
    "timeout": "wall_sec",
    "cpu": "cpu_sec",
    "memory": "memory_mb",
    "processes": "processes",
    "output": "output_kb",
    "disk": "disk_mb",
}
NO_FAULT: Final = ("interrupted", "stale", "refused", "no_space", "killed")


@dataclass(frozen=True, slots=True)
class Way:
    """How a try goes about the task: what is run, within which limits, how much of it is asked for.

    `alternative` counts the alternatives that were taken; `avoid` are providers that a tool asks no more.
    """

    task_type: str
    code: str
    limits: Mapping[str, float]
    scale: float = 1.0
    alternative: int = 0
    avoid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mutated:
    """The way of the next try, and what is said of the change: `changes` names each thing with [before, after]."""

    way: Way
    kind: MutationKind
    because: str
    changes: Mapping[str, Sequence[Any]]

    @property
    def is_another_task(self) -> bool:
        """Whether the daughter gives way to a successor; one that only gets more is restarted."""
        return self.kind in ("smaller_task", "other_task", "other_provider")

    @property
    def as_row(self) -> dict[str, Any]:
        """As tables keep it and the wire shows it."""
        changes = {name: list(pair) for name, pair in self.changes.items()}
        return {"kind": self.kind, "because": self.because, "changes": changes}


def backoff_sec(retry: int, luck: float, *, unit_sec: float = 1.0) -> float:
    """Seconds before retry number `retry` (from 1): min(300, 2^n), a quarter more or less by `luck` from 0 to 1.

    `unit_sec` stretches or shrinks all waits alike; 300 s stay the most.
    """
    wait = min(BACKOFF_MAX_SEC, 2.0 ** min(retry, _EXPONENT_MAX) * unit_sec)
    return min(BACKOFF_MAX_SEC, wait * (1 + _JITTER * (2 * luck - 1)))


def mutated(
    way: Way,
    kind: str,
    because: str,
    *,
    alternatives: Sequence[Mapping[str, str]],
    most: Mapping[str, float],
    provider: str | None = None,
) -> Mutated:
    """What follows a try that ended with the verdict `kind`; `alternatives` are the job's own, all of them."""
    if kind in NO_FAULT:
        return Mutated(way, "fresh_start", because, {})
    outgrown = _OUTGROWN.get(kind)
    if outgrown is not None and way.limits[outgrown] < most.get(outgrown, 0):
        return _with_more(way, outgrown, most[outgrown], because)
    if way.alternative < len(alternatives):
        return _another(way, alternatives[way.alternative], because)
    if way.task_type == "tool" and provider is not None:
        avoided = replace(way, avoid=(*way.avoid, provider))
        return Mutated(avoided, "other_provider", because, {"avoid": [list(way.avoid), list(avoided.avoid)]})
    if way.scale / 2 >= SCALE_MIN:
        return Mutated(
            replace(way, scale=way.scale / 2), "smaller_task", because, {"scale": [way.scale, way.scale / 2]}
        )
    return Mutated(way, "fresh_start", because, {})


def _with_more(way: Way, name: str, most: float, because: str) -> Mutated:
    before = way.limits[name]
    after = min(2 * before, most)
    return Mutated(replace(way, limits={**way.limits, name: after}), "longer_limit", because, {name: [before, after]})


def _another(way: Way, other: Mapping[str, str], because: str) -> Mutated:
    taken = way.alternative + 1
    changed = replace(way, task_type=other["task_type"], code=other["code"], alternative=taken)
    changes: dict[str, Sequence[Any]] = {"alternative": [way.alternative, taken]}
    if other["task_type"] != way.task_type:
        changes["task_type"] = [way.task_type, other["task_type"]]
    return Mutated(changed, "other_task", because, changes)
