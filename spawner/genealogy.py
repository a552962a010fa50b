"""Who descends from whom among jobs, and how deep a family may get. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from config.errors import Conflict


@dataclass(frozen=True, slots=True)
class Descent:
    """Where a job stands in its family: generation 0 is the `root`, which is its own."""

    parent: str | None
    root: str
    depth: int


def founder(spawn_id: str) -> Descent:
    """A job that nobody's job asked for."""
    return Descent(None, spawn_id, 0)


def child_of(parent: str, descent: Descent, max_depth: int) -> Descent:
    """A child of `parent`, whose own place is `descent`; Conflict beyond `max_depth` generations."""
    depth = descent.depth + 1
    if depth >= max_depth:
        raise Conflict(
            f"{parent} is of generation {descent.depth + 1} of its family, and {max_depth} are allowed.",
            hint="VX11_SPAWNER_MAX_DEPTH allows more.",
        )
    return Descent(parent, descent.root, depth)


def ancestors(parent: str | None, parent_of: Callable[[str], str | None]) -> list[str]:
    """From the nearest to the root; a ring, which no correct table holds, ends where it closes."""
    line: list[str] = []
    while parent is not None and parent not in line:
        line.append(parent)
        parent = parent_of(parent)
    return line


def descendants(spawn_id: str, family: Iterable[tuple[str, str | None]]) -> list[str]:
    """Everybody below `spawn_id`, by generations, of a `family` of (id, parent) pairs."""
    children: dict[str | None, list[str]] = {}
    for member, parent in family:
        children.setdefault(parent, []).append(member)
    found: list[str] = []
    seen, generation = {spawn_id}, [spawn_id]
    while generation:
        generation = [child for member in generation for child in children.get(member, ()) if child not in seen]
        seen.update(generation)
        found += generation
    return found
