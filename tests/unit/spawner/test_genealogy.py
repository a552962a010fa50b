"""Families of jobs: who descends from whom, and how deep they get."""

from __future__ import annotations

import pytest

from config.errors import Conflict
from spawner.genealogy import ancestors, child_of, descendants, founder

FAMILY = [("a", None), ("b", "a"), ("c", "a"), ("d", "b"), ("e", "d"), ("x", None)]


def test_a_child_is_one_generation_on_and_of_the_same_root() -> None:
    a = founder("a")
    b = child_of("a", a, 3)
    c = child_of("b", b, 3)
    assert [(one.parent, one.root, one.depth) for one in (a, b, c)] == [(None, "a", 0), ("a", "a", 1), ("b", "a", 2)]
    with pytest.raises(Conflict, match="generation 3 of its family, and 3"):
        child_of("c", c, 3)


def test_ancestors_are_named_from_the_nearest_on() -> None:
    parents = dict(FAMILY)
    assert ancestors("d", parents.get) == ["d", "b", "a"]
    assert ancestors(None, parents.get) == []
    assert ancestors("r", {"r": "s", "s": "r"}.get) == ["r", "s"], "a ring ends"


def test_descendants_are_named_by_generations() -> None:
    assert descendants("a", FAMILY) == ["b", "c", "d", "e"]
    assert descendants("d", FAMILY) == ["e"]
    assert descendants("x", FAMILY) == []
    assert descendants("r", [("r", "s"), ("s", "r")]) == ["s"]
