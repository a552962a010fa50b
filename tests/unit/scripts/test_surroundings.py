"""What is read of the environment before settings exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.surroundings import surroundings_of

REPOSITORY = Path("/somewhere/vx11")


def test_the_cache_follows_the_xdg_rule() -> None:
    assert surroundings_of({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, REPOSITORY).cache == Path("/x/vx11")
    assert surroundings_of({"HOME": "/h"}, REPOSITORY).cache == Path("/h/.cache/vx11")


def test_without_a_home_the_cache_stays_in_the_repository() -> None:
    assert surroundings_of({}, REPOSITORY).cache.is_relative_to(REPOSITORY)


@pytest.mark.parametrize(("value", "strict"), [("true", True), ("1", True), ("", False), ("false", False)])
def test_ci_is_taken_at_its_word(value: str, strict: bool) -> None:
    assert surroundings_of({"CI": value}, REPOSITORY).continuous_integration is strict


def test_children_see_this_repository_and_foreign_tools_do_not() -> None:
    world = surroundings_of({"PYTHONPATH": "/elsewhere", "LANG": "C"}, REPOSITORY)
    assert world.child_variables(X="1") == {"PYTHONPATH": str(REPOSITORY), "LANG": "C", "X": "1"}
    assert "PYTHONPATH" not in world.tool_variables()


@pytest.mark.parametrize("variables", [{"NO_COLOR": ""}, {"TERM": "dumb"}])
def test_colour_can_be_refused(variables: dict[str, str]) -> None:
    assert not surroundings_of(variables, REPOSITORY).colour
