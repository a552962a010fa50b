"""Conversations: how long they live, what they keep, what a sentence may leave out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from config import context7
from config.context7 import Bounds, Conversation, Topic, Turn

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BOUNDS = Bounds(ttl_sec=3600, turns=4, conversations=3)


def said(text: str, speaker: context7.Speaker = "user", at: datetime = NOW) -> Turn:
    return Turn(at, speaker, text)


def about(topic: str, **arguments: object) -> Topic:
    return Topic(topic, f"{topic}.act", arguments, NOW)


def talk(*turns: Turn, topics: tuple[Topic, ...] = (), now: datetime = NOW) -> Conversation:
    return context7.gone_on(context7.begun("ana", "c", NOW, BOUNDS), turns, topics, now, BOUNDS)


def test_its_time_to_live_begins_anew_with_every_use() -> None:
    fresh = context7.begun("ana", "c", NOW, BOUNDS)
    assert not fresh.is_over(NOW + timedelta(seconds=3599))
    assert fresh.is_over(NOW + timedelta(seconds=3600))
    later = NOW + timedelta(seconds=3000)
    used = context7.gone_on(fresh, [said("hello")], [], later, BOUNDS)
    assert (used.created_at, used.used_at, used.expires_at) == (NOW, later, later + timedelta(hours=1))


def test_the_oldest_turns_go_and_are_counted() -> None:
    grown = talk(*(said(str(n)) for n in range(7)))
    assert [turn.text for turn in grown.turns] == ["3", "4", "5", "6"]
    assert grown.dropped == 3


def test_a_very_long_turn_is_cut_and_says_so() -> None:
    (turn,) = talk(said("x" * 50_000)).turns
    assert len(turn.text) == context7.MAX_TURN_CHARS
    assert turn.text.endswith("[…]")


def test_one_topic_of_a_kind_the_newest_first() -> None:
    topics = (about("POWER", services=["switch"]), about("HERMES", name="gemma"), about("POWER", services=["hermes"]))
    grown = talk(topics=topics)
    assert [(one.name, dict(one.arguments)) for one in grown.topics] == [
        ("POWER", {"services": ["hermes"]}),
        ("HERMES", {"name": "gemma"}),
    ]
    many = talk(topics=tuple(about(f"T{n}") for n in range(20)))
    assert len(many.topics) == context7.MAX_TOPICS
    assert many.topics[0].name == "T19"


def test_what_a_sentence_leaves_out_comes_from_the_same_topic() -> None:
    spoken = talk(topics=(about("POWER", services=["switch"], ttl_sec=600), about("HERMES", name="gemma")))
    assert context7.inherited(spoken, "POWER", {}, ["services"], NOW) == {"services": ["switch"]}
    assert context7.inherited(spoken, "HERMES", {"name": None}, ["name", "tier"], NOW) == {"name": "gemma"}
    assert context7.inherited(spoken, "AUDIO", {}, ["services"], NOW) == {}


def test_what_was_said_is_never_replaced() -> None:
    spoken = talk(topics=(about("POWER", services=["switch"]),))
    assert context7.inherited(spoken, "POWER", {"services": ["hermes"]}, ["services"], NOW) == {}
    assert context7.inherited(spoken, "POWER", {"services": []}, ["services"], NOW) == {}


def test_it_does_not_mean_what_was_spoken_of_long_ago() -> None:
    spoken = talk(topics=(about("POWER", services=["switch"]),))
    at_the_end = NOW + context7.INHERITED_FOR
    assert context7.inherited(spoken, "POWER", {}, ["services"], at_the_end) == {"services": ["switch"]}
    assert context7.inherited(spoken, "POWER", {}, ["services"], at_the_end + timedelta(seconds=1)) == {}


def test_a_model_is_told_the_newest_turns_that_fit_from_a_persons_turn_on() -> None:
    spoken = talk(said("one"), said("ONE", "assistant"), said("two"), said("TWO", "assistant"))
    assert [turn["content"] for turn in context7.for_model(spoken, "now", 100)] == ["one", "ONE", "two", "TWO", "now"]
    assert context7.for_model(spoken, "now", 9) == [
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "TWO"},
        {"role": "user", "content": "now"},
    ]
    assert context7.for_model(spoken, "now", 3) == context7.for_model(None, "now", 100)
    assert context7.for_model(None, "now", 100) == [{"role": "user", "content": "now"}]


def test_what_nobody_answered_becomes_part_of_what_is_asked_next() -> None:
    spoken = talk(said("one"), said("ONE", "assistant"), said("unheard"))
    assert context7.for_model(spoken, "again", 100)[-1] == {"role": "user", "content": "unheard\nagain"}


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text(max_size=30))), st.integers(0, 200))
def test_whatever_was_said_messages_fit_and_speakers_take_turns(
    lines: list[tuple[context7.Speaker, str]], budget: int
) -> None:
    spoken = replace(talk(), turns=tuple(said(text, speaker) for speaker, text in lines))
    messages = context7.for_model(spoken, "now", budget)
    assert sum(len(message["content"].replace("\n", "")) for message in messages) <= budget + len("now")
    assert [message["role"] for message in messages[::2]] == ["user"] * ((len(messages) + 1) // 2)
    assert {message["role"] for message in messages[1::2]} <= {"assistant"}
    assert messages[-1]["role"] == "user"
    assert messages[-1]["content"].endswith("now")
