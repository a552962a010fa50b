"""Who is asked and in what order: exactly the named model, the healthy before the failing, nobody who may not be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import BreakerOpen, Invalid, NotFound, TooManyRequests, Unavailable, UnknownModel, VX11Error
from switch.offers import Offer
from switch.ranking import BROKEN, BUDGET, RESTING, UNFIT, Bar, Standing, Wish, ranked, wanted
from switch.score import Score

CHAT = frozenset({"chat"})


def offer(engine: str, *, tasks: frozenset[str] = CHAT) -> Offer:
    provider, model = engine.split("/")
    return Offer(provider, model, "local" if provider == "local" else "endpoint", tasks)


def standing(engine: str, total: float = 0.5, *, failed_lately: bool = False, bar: Bar | None = None) -> Standing:
    return Standing(offer(engine), Score(total, {}), failed_lately, bar)


OFFERS = [offer("local/a"), offer("local/b"), offer("cloud/a"), offer("cloud/c"), offer("local/e", tasks=frozenset())]


def engines(wish: Wish) -> list[str]:
    return [found.engine for found in wanted(wish, OFFERS)]


def test_a_named_model_is_asked_of_those_who_offer_exactly_it() -> None:
    assert engines(Wish("chat", "a")) == ["local/a", "cloud/a"]
    assert engines(Wish("chat", "c")) == ["cloud/c"]
    assert engines(Wish("chat", "e")) == ["local/e"]  # named, it need not be one for chats


def test_an_unknown_model_is_an_error_and_never_another_model() -> None:
    for fallback in (False, True):
        with pytest.raises(UnknownModel) as found:
            wanted(Wish("chat", "z", fallback=fallback), OFFERS)
        assert found.value.hint == "Enabled models: a, b, c, e."
    with pytest.raises(UnknownModel, match=r"There is no enabled model called 'c'\."):
        wanted(Wish("chat", "c", provider="local"), OFFERS)


def test_an_open_choice_is_of_all_for_the_task() -> None:
    assert engines(Wish("chat")) == ["local/a", "local/b", "cloud/a", "cloud/c"]
    assert engines(Wish("chat", provider="cloud")) == ["cloud/a", "cloud/c"]
    assert engines(Wish("chat", kinds=frozenset({"local"}))) == ["local/a", "local/b"]
    with pytest.raises(UnknownModel):
        wanted(Wish("embedding"), OFFERS)


def test_an_unknown_provider_is_not_found() -> None:
    with pytest.raises(NotFound) as found:
        wanted(Wish("chat", provider="nobody"), OFFERS)
    assert not isinstance(found.value, UnknownModel)


def test_with_leave_other_models_stand_behind_the_named_one() -> None:
    choice = ranked(Wish("chat", "c", fallback=True), [standing("local/a", 0.9), standing("cloud/c", 0.1)])
    assert [one.offer.engine for one in choice.asked] == ["cloud/c", "local/a"]


@given(st.permutations([("x/m", 0.9, False), ("y/m", 0.5, False), ("z/m", 0.99, True), ("w/m", 0.5, False)]))
def test_by_score_but_who_failed_a_moment_ago_last(given: list[tuple[str, float, bool]]) -> None:
    choice = ranked(Wish("chat"), [standing(name, total, failed_lately=failed) for name, total, failed in given])
    assert [one.offer.provider for one in choice.asked] == ["x", "w", "y", "z"]


@given(st.floats(0, 1))
def test_a_failing_provider_never_beats_a_healthy_equal_one(total: float) -> None:
    choice = ranked(Wish("chat", "m"), [standing("x/m", total, failed_lately=True), standing("y/m", total)])
    assert choice.asked[0].offer.provider == "y"


def test_who_may_not_be_asked_is_left_out_and_said() -> None:
    bar = Bar(BUDGET, "its budget of 1 a day is spent", 100.0)
    choice = ranked(Wish("chat"), [standing("x/m", 0.9, bar=bar), standing("y/m", 0.1)])
    assert [one.offer.engine for one in choice.asked] == ["y/m"]
    assert choice.reason == "best by score 0.100 of 1; left out: x/m: its budget of 1 a day is spent"
    assert choice.left_out[0].shown()["excluded"] == bar.why


def test_reasons() -> None:
    assert ranked(Wish("chat", "m"), [standing("x/m")]).reason == "named by the caller"
    both = ranked(Wish("chat", "m"), [standing("x/m"), standing("y/m")])
    assert both.reason == "named by the caller, best provider by score 0.500 of 2"
    broken = standing("x/m", bar=Bar(BROKEN, "it failed 3 times in a row", 9.0))
    other = ranked(Wish("chat", "m", fallback=True), [broken, standing("y/n")])
    assert other.reason == "fallback allowed by the caller: m cannot be asked (x/m: it failed 3 times in a row)"


NOBODY = [
    ([BUDGET, BUDGET], TooManyRequests, 10.0),
    ([BROKEN], BreakerOpen, 10.0),
    ([BROKEN, BUDGET], Unavailable, 10.0),
    ([RESTING], Unavailable, 10.0),
    ([UNFIT, UNFIT], Invalid, None),
    ([UNFIT, RESTING], Unavailable, 20.0),
]


@pytest.mark.parametrize(("kinds", "error", "wait"), NOBODY)
def test_where_nobody_may_be_asked_the_error_says_when(kinds: list[str], error: type, wait: float | None) -> None:
    bars = [Bar(kind, kind, None if kind == UNFIT else 10.0 * number) for number, kind in enumerate(kinds, 1)]
    with pytest.raises(error) as found:
        ranked(Wish("chat"), [standing(f"p{number}/m", bar=bar) for number, bar in enumerate(bars)])
    assert type(found.value) is error
    assert isinstance(found.value, VX11Error)
    assert found.value.retry_after_sec == wait
