"""Engines for tasks, and plans of discoveries."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.contracts.discovery import DiscoveryItem
from config.contracts.tools import EngineQuery
from config.errors import Conflict, Invalid
from hermes.discoveries import digest_of, ensure_still, selected
from hermes.engines import Candidate, choose

CHAT = Candidate("chatty", "local", ("chat",), 4096, 500, 3)
CANDIDATES = st.builds(
    Candidate,
    name=st.text(st.sampled_from("abc"), min_size=1, max_size=3),
    kind=st.sampled_from(["local", "program"]),
    task_types=st.sampled_from([("chat",), ("completion",), ("embedding",), ("chat", "code")]),
    context_tokens=st.none() | st.integers(1, 10_000),
    size_mb=st.integers(0, 10_000),
    usage_count=st.integers(0, 50),
    obstacle=st.none() | st.just("it is disabled"),
)


@given(st.lists(CANDIDATES, max_size=6), st.sampled_from(["chat", "completion", "embedding", "code"]))
def test_what_is_chosen_fits_and_nothing_better_was_left(candidates: list[Candidate], task: str) -> None:
    query = EngineQuery(task_type=task, context_tokens=512)  # type: ignore[arg-type]  # pydantic checks it
    choice = choose(query, candidates)
    fitting = [one for one in choice.candidates if one.excluded_because is None]
    assert (choice.engine is None) == (not fitting)
    assert choice.said
    assert all(one.score <= (fitting[0].score if fitting else 0) for one in choice.candidates)
    assert all(0 < one.score <= 1 and one.reasons for one in fitting)


def test_who_is_made_for_a_task_goes_before_who_can_stand_in() -> None:
    base = replace(CHAT, name="base", task_types=("completion",), usage_count=0)
    assert choose(EngineQuery(task_type="completion"), [CHAT, base]).engine == "base"
    assert choose(EngineQuery(task_type="completion"), [CHAT]).engine == "chatty"
    assert choose(EngineQuery(task_type="embedding"), [CHAT, base]).engine is None


def test_a_tag_makes_a_model_fit() -> None:
    coder = replace(CHAT, name="coder", tags=("code",), usage_count=0)
    assert choose(EngineQuery(task_type="code"), [CHAT, coder]).engine == "coder"


def item(key: str, **facts: object) -> DiscoveryItem:
    return DiscoveryItem(key=key, act="register", name=key, suggested=key != "b", facts=dict(facts))


A, B = item("a", size=1), item("b", size=2)


@given(st.permutations(["a", "b", "c", "d"]))
def test_a_plan_has_one_digest_in_whatever_order_it_was_found(keys: list[str]) -> None:
    assert digest_of({key: item(key) for key in keys}) == digest_of({key: item(key) for key in "abcd"})


def test_another_size_is_another_plan_and_the_difference_is_told() -> None:
    planned, now = {"a": A, "b": B}, {"b": item("b", size=3), "c": item("c")}
    ensure_still(digest_of(planned), None, planned)
    with pytest.raises(Conflict) as stale:
        ensure_still(digest_of(planned), planned, now)
    assert stale.value.extra["difference"] == {"added": ["c"], "removed": ["a"], "changed": ["b"]}
    with pytest.raises(Conflict, match="not remembered"):
        ensure_still(digest_of(planned), None, now)


def test_only_what_is_suggested_or_named_is_carried_out() -> None:
    assert selected({"a": A, "b": B}, None) == [A]
    assert selected({"a": A, "b": B}, ["b", "b"]) == [B]
    assert selected({"a": A}, []) == []
    with pytest.raises(Invalid):
        selected({"a": A}, ["z"])
