"""The owner of all models' state, decision by decision; `test_lifecycle_machine.py` has it all at once."""

from __future__ import annotations

import pytest

from config.errors import ModelFailed, NotEnoughMemory, TooManyRequests, Unavailable
from switch.lifecycle import Effect, Grant, Lifecycle, Limits, Refuse, Start, Stop
from switch.residence import Model, Stage, evict

LIMITS = Limits(budget_mb=100, ttl_sec=300, cooldown_sec=30, max_waiting=5)


def ready(life: Lifecycle, name: str, need_mb: int, now: float, *, ticket: int = 0) -> None:
    """Have a model in memory, with nobody using it any more."""
    assert life.wanted(ticket, name, need_mb, now) == [Start(name)]
    assert life.loaded(name, now) == [Grant(ticket, name)]
    assert life.released(ticket, name, now) == []


def stage(life: Lifecycle, name: str) -> Stage:
    return model(life, name).stage


def model(life: Lifecycle, name: str) -> Model:
    return next(one for one in life.models() if one.name == name)


def refusal(effects: list[Effect]) -> Exception:
    [refuse] = effects
    assert isinstance(refuse, Refuse)
    return refuse.error


def test_two_who_want_a_sleeping_model_start_it_once() -> None:
    life = Lifecycle(LIMITS)
    assert life.wanted(1, "a", 60, 0) == [Start("a")]
    assert life.wanted(2, "a", 60, 1) == []
    assert life.loaded("a", 2) == [Grant(1, "a"), Grant(2, "a")]
    assert life.wanted(3, "a", 60, 3) == [Grant(3, "a")]


def test_an_idle_model_makes_room_and_the_next_starts_when_its_memory_is_back() -> None:
    life = Lifecycle(LIMITS)
    ready(life, "a", 60, 0)
    assert life.wanted(1, "b", 70, 1) == [Stop("a", "memory needed")]
    assert life.reserved_mb == 60
    assert life.stopped("a", 2) == [Start("b")]
    assert life.reserved_mb == 70


def test_a_model_in_use_is_waited_for() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.loaded("a", 0)
    assert life.wanted(2, "b", 70, 1) == []
    assert life.released(1, "a", 2) == [Stop("a", "memory needed")]


def test_a_pinned_model_stays() -> None:
    life = Lifecycle(LIMITS)
    ready(life, "a", 30, 0)
    ready(life, "b", 60, 0)
    life.pin("a", 30, 0)
    assert life.wanted(1, "c", 70, 1) == [Stop("b", "memory needed")]
    assert life.unload("a") is None
    life.stopped("b", 2)
    assert life.tick(10_000) == []


def test_what_could_only_wait_for_a_pinned_model_to_go_is_refused() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.wanted(2, "b", 70, 0)
    told = refusal(life.pin("a", 60, 1))
    assert isinstance(told, Unavailable)
    assert "60 are pinned" in str(told)
    assert isinstance(refusal(life.wanted(3, "b", 70, 2)), Unavailable)


def test_pinning_loads_and_brings_back() -> None:
    life = Lifecycle(LIMITS)
    assert life.pin("a", 60, 0) == [Start("a")]
    life.loaded("a", 1)
    life.died("a", "SIGKILL", 2)
    assert life.tick(3) == [Start("a")]
    life.failed("a", "no file", 4)
    assert life.tick(5) == []
    assert life.tick(5 + 2 * LIMITS.cooldown_sec) == [Start("a")]
    life.loaded("a", 100)
    assert life.unpin("a", 101) == []
    assert life.tick(1_000) == [Stop("a", "idle")]


def test_pins_that_would_not_fit_together_are_refused_with_the_arithmetic() -> None:
    life = Lifecycle(LIMITS)
    life.pin("a", 60, 0)
    with pytest.raises(NotEnoughMemory, match=r"b needs 50 MiB; 60 of the budget of 100 MiB"):
        life.pin("b", 50, 1)
    life.unpin("a", 2)
    life.pin("b", 50, 3)


def test_a_model_may_have_an_idle_time_of_its_own() -> None:
    life = Lifecycle(LIMITS)
    ready(life, "a", 20, 0)
    ready(life, "b", 20, 0)
    life.keep("a", 10)
    assert life.tick(10) == [Stop("a", "idle")]
    life.keep("b", None)
    assert life.tick(299) == []


def test_who_is_cheap_to_bring_back_makes_room_not_who_was_used_first() -> None:
    life = Lifecycle(LIMITS)
    for name, load_sec, now in (("slow", 30.0, 0.0), ("quick", 1.0, 100.0)):
        life.wanted(1, name, 40, now)
        life.loaded(name, now + load_sec)
        life.released(1, name, now + load_sec)
    assert life.wanted(2, "next", 50, 110) == [Stop("quick", "memory needed")]


def test_one_that_took_long_to_load_serves_newcomers_for_a_while_though_others_wait() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.loaded("a", 2)
    life.wanted(2, "b", 70, 3)
    assert life.wanted(3, "a", 60, 9) == [Grant(3, "a")]
    assert life.wanted(4, "a", 60, 10) == []
    life.released(1, "a", 11)
    assert life.released(3, "a", 11) == [Stop("a", "memory needed")]


def test_a_worker_that_outgrows_its_reservation_is_recycled_and_the_next_reserves_what_was_learnt() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 40, 0)
    life.loaded("a", 0, 44)
    assert life.measured("a", 55, 10) == []  # 25 % above what it reserved
    assert life.reserved_mb == 55
    assert life.measured("a", 56, 20) == []
    assert life.wanted(2, "a", 40, 21) == []  # it takes no newcomers
    assert life.wanted(3, "b", 20, 22) == [Start("b")]  # who do not hold up others
    [stop] = life.released(1, "a", 30)
    assert stop == Stop("a", "grew to 56 MiB; 44 were reserved")
    assert life.stopped("a", 31) == [Start("a")]
    assert model(life, "a").reserved_mb == 56


def test_what_was_learnt_never_makes_a_model_impossible() -> None:
    life = Lifecycle(LIMITS)
    ready(life, "a", 40, 0)
    assert isinstance(life.measured("a", 400, 10)[0], Stop)
    life.stopped("a", 11)
    assert life.wanted(1, "a", 40, 12) == [Start("a")]
    assert life.reserved_mb == LIMITS.budget_mb


def test_what_is_taken_beyond_the_budget_is_paid_back_by_idle_models() -> None:
    life = Lifecycle(LIMITS)
    ready(life, "idle", 40, 0)
    life.wanted(1, "busy", 60, 0)
    life.loaded("busy", 0)
    life.measured("busy", 70, 10)
    assert life.tick(11) == [Stop("idle", "memory needed")]


def test_a_drained_model_ends_with_its_last_user_and_comes_back_for_those_who_wait() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.loaded("a", 1)
    assert life.drain("a", "its file changed", 2) == []
    assert life.wanted(2, "a", 60, 3) == []
    assert life.released(1, "a", 4) == [Stop("a", "its file changed")]
    assert life.stopped("a", 5) == [Start("a")]
    assert life.loaded("a", 6) == [Grant(2, "a")]
    assert life.released(2, "a", 7) == []
    assert life.drain("a", "disabled", 8) == [Stop("a", "disabled")]


def test_a_model_drained_while_it_loads_is_loaded_anew() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.drain("a", "its file changed", 1)
    assert life.loaded("a", 2) == [Stop("a", "its file changed")]
    assert life.stopped("a", 3) == [Start("a")]
    assert life.loaded("a", 4) == [Grant(1, "a")]


def test_rest_doubles_with_each_failure_until_somebody_was_served() -> None:
    life = Lifecycle(LIMITS)
    now = 0.0
    for rest in (30, 60, 120):
        life.wanted(1, "a", 60, now)
        [told] = life.failed("a", "no GGUF file", now)
        assert isinstance(told, Refuse)
        assert told.error.retry_after_sec == rest
        now += rest
    ready(life, "a", 60, now)
    life.died("a", "SIGKILL", now)
    life.wanted(2, "a", 60, now)
    error = refusal(life.failed("a", "again", now))
    assert isinstance(error, ModelFailed)
    assert error.retry_after_sec == 60


def test_a_worker_that_dies_is_replaced_at_once_and_rests_when_the_next_dies_before_it_served() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.loaded("a", 0)
    assert life.died("a", "SIGSEGV", 1) == []
    assert life.wanted(2, "a", 60, 2) == [Start("a")]
    life.loaded("a", 3)
    life.died("a", "SIGSEGV", 4)
    assert stage(life, "a") is Stage.COOLING
    assert isinstance(refusal(life.wanted(3, "a", 60, 5)), ModelFailed)


def test_a_worker_that_hung_rests() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.loaded("a", 0)
    life.died("a", "it hung", 1, rests=True)
    assert "it hung" in str(refusal(life.wanted(2, "a", 60, 2)))


def test_newcomers_do_not_keep_a_busy_model_in_the_way_for_ever() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.loaded("a", 0)
    assert life.wanted(2, "b", 70, 1) == []
    assert life.wanted(3, "a", 60, 2) == []  # behind b, though a is ready
    assert life.released(1, "a", 3) == [Stop("a", "memory needed")]
    assert life.stopped("a", 4) == [Start("b")]
    assert life.loaded("b", 5) == [Grant(2, "b")]
    assert life.released(2, "b", 6) == [Stop("b", "memory needed")]
    assert life.stopped("b", 7) == [Start("a")]
    assert life.loaded("a", 8) == [Grant(3, "a")]


def test_a_busy_model_that_need_not_move_takes_newcomers() -> None:
    life = Lifecycle(LIMITS)
    for ticket, (name, need_mb) in enumerate([("large", 60), ("small", 20)]):
        life.wanted(ticket, name, need_mb, ticket)
        life.loaded(name, ticket)
    assert life.wanted(10, "next", 50, 3) == []  # `large` alone will make room for it
    assert life.wanted(11, "small", 20, 4) == [Grant(11, "small")]
    assert life.wanted(12, "large", 60, 5) == []


def test_of_two_busy_models_always_the_same_one_drains() -> None:
    life = Lifecycle(LIMITS)
    for name, tickets in {"first": (1, 2), "second": (3, 4)}.items():
        for ticket in tickets:
            life.wanted(ticket, name, 40, ticket)
        life.loaded(name, tickets[-1])
    assert life.wanted(5, "next", 50, 5) == []
    life.released(1, "first", 6)  # used last of all now, which must not make it the other's turn to drain
    assert life.wanted(6, "first", 40, 7) == []
    assert life.wanted(7, "second", 40, 8) == [Grant(7, "second")]
    assert life.released(2, "first", 9) == [Stop("first", "memory needed")]


def test_no_second_victim_is_taken_while_the_first_one_s_memory_is_on_its_way() -> None:
    life = Lifecycle(LIMITS)
    ready(life, "a", 40, 0)
    ready(life, "b", 40, 1)
    assert life.wanted(1, "c", 50, 2) == [Stop("a", "memory needed")]
    assert life.wanted(2, "c", 50, 3) == []
    assert life.tick(4) == []


def test_a_load_nobody_waits_for_any_more_makes_room_at_once() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.wanted(2, "b", 70, 1)
    life.gave_up(1, "a", 2)
    assert life.loaded("a", 3) == [Stop("a", "memory needed")]


def test_those_who_stood_behind_go_in_at_once_when_the_first_gives_up() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.loaded("a", 0)
    life.wanted(2, "b", 70, 1)
    life.wanted(3, "a", 60, 2)
    assert life.gave_up(2, "b", 3) == [Grant(3, "a")]


def test_who_gives_up_at_the_moment_of_its_turn_uses_nothing() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    assert life.loaded("a", 1) == [Grant(1, "a")]
    assert life.gave_up(1, "a", 2) == []
    assert life.wanted(2, "b", 70, 3) == [Stop("a", "memory needed")]


def test_a_load_under_way_goes_on_when_its_last_waiter_gives_up() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    assert life.gave_up(1, "a", 1) == []
    assert life.loaded("a", 2) == []
    assert stage(life, "a") is Stage.READY


def test_who_gives_up_before_there_was_room_starts_nothing() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.wanted(2, "b", 70, 1)
    assert life.gave_up(2, "b", 2) == []
    life.loaded("a", 3)
    assert life.released(1, "a", 4) == []


def test_a_failed_load_is_told_to_all_who_wait_and_not_tried_again_for_a_while() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.wanted(2, "a", 60, 0)
    told = life.failed("a", "no GGUF file", 10)
    assert [effect.ticket for effect in told if isinstance(effect, Refuse)] == [1, 2]
    assert life.reserved_mb == 0
    again = refusal(life.wanted(3, "a", 60, 20))
    assert isinstance(again, ModelFailed)
    assert again.retry_after_sec == 20
    assert "no GGUF file" in again.detail
    assert life.wanted(4, "a", 60, 40) == [Start("a")]


def test_a_model_has_cooled_down_when_its_time_is_over() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.failed("a", "no GGUF file", 0)
    life.tick(29)
    assert stage(life, "a") is Stage.COOLING
    life.tick(30)
    assert stage(life, "a") is Stage.ASLEEP


def test_what_can_never_fit_is_refused_with_the_arithmetic() -> None:
    error = refusal(Lifecycle(LIMITS).wanted(1, "a", 101, 0))
    assert isinstance(error, Unavailable)
    assert "101 MiB" in str(error)
    assert "100 MiB" in str(error)


def test_too_many_waiters_are_refused() -> None:
    life = Lifecycle(LIMITS)
    for ticket in range(LIMITS.max_waiting):
        life.wanted(ticket, "a", 60, 0)
    error = refusal(life.wanted(9, "a", 60, 0))
    assert isinstance(error, TooManyRequests)
    assert error.retry_after_sec


def test_an_idle_model_sleeps_when_its_time_is_over_and_not_before() -> None:
    life = Lifecycle(LIMITS)
    ready(life, "a", 60, 100)
    assert life.tick(399) == []
    assert life.tick(400) == [Stop("a", "idle")]
    assert life.tick(401) == []


def test_use_puts_sleep_off() -> None:
    life = Lifecycle(LIMITS)
    ready(life, "a", 60, 0)
    life.wanted(1, "a", 60, 10)
    assert life.tick(1_000) == []
    life.released(1, "a", 1_000)
    assert life.tick(1_299) == []


def test_unloading_by_hand_takes_an_idle_model_and_leaves_a_busy_one() -> None:
    life = Lifecycle(LIMITS)
    assert life.unload("a") == []
    life.wanted(1, "a", 60, 0)
    assert life.unload("a") is None
    life.loaded("a", 1)
    assert life.unload("a") is None
    life.released(1, "a", 2)
    assert life.unload("a") == [Stop("a", "unloaded by request")]
    assert life.unload("a") == []


def loading_for_nobody(life: Lifecycle) -> None:
    """A model loads, and who wanted it is gone; its memory is asked for."""
    life.wanted(1, "a", 60, 0)
    life.gave_up(1, "a", 0)
    assert life.unload("a") == []


def test_unloaded_by_hand_while_it_loads_for_nobody_it_goes_when_it_has_loaded() -> None:
    life = Lifecycle(LIMITS)
    loading_for_nobody(life)
    assert life.wanted(2, "b", 60, 1) == []
    assert life.loaded("a", 2) == [Stop("a", "unloaded by request")]
    assert life.stopped("a", 3) == [Start("b")]
    life.loaded("b", 4)
    assert life.released(2, "b", 5) == []
    ready(life, "a", 30, 6)


def test_whoever_comes_while_it_loads_has_it_after_all() -> None:
    life = Lifecycle(LIMITS)
    loading_for_nobody(life)
    assert life.wanted(2, "a", 60, 1) == []
    assert life.unload("a") is None
    assert life.loaded("a", 2) == [Grant(2, "a")]
    assert life.released(2, "a", 3) == []


def test_one_that_is_pinned_while_it_loads_stays_after_all() -> None:
    life = Lifecycle(LIMITS)
    loading_for_nobody(life)
    life.pin("a", 60, 1)
    assert life.unload("a") is None
    assert life.loaded("a", 2) == []


def test_one_that_did_not_load_is_not_unloaded_by_an_old_request() -> None:
    life = Lifecycle(LIMITS)
    loading_for_nobody(life)
    life.failed("a", "it would not", 1)
    life.pin("a", 60, 2)
    life.unpin("a", 3)
    ready(life, "a", 60, 40)


def test_whoever_comes_while_a_model_stops_gets_it_anew() -> None:
    life = Lifecycle(LIMITS)
    ready(life, "a", 40, 0)
    life.unload("a")
    assert life.wanted(1, "a", 40, 1) == []  # not beside the old worker, though there would be room
    assert life.stopped("a", 2) == [Start("a")]


def test_a_model_that_has_grown_reserves_what_it_needs_now() -> None:
    life = Lifecycle(LIMITS)
    ready(life, "a", 40, 0)
    life.unload("a")
    life.stopped("a", 1)
    life.wanted(1, "a", 80, 2)
    assert life.reserved_mb == 80


def test_a_dead_worker_gives_its_memory_back_and_the_next_want_starts_another() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.loaded("a", 0)
    assert life.died("a", "SIGKILL", 1) == []
    assert life.reserved_mb == 0
    assert life.released(1, "a", 2) == []
    assert life.wanted(2, "a", 60, 3) == [Start("a")]


def test_a_worker_larger_than_its_estimate_corrects_the_ledger_until_it_ends() -> None:
    life = Lifecycle(LIMITS)
    life.wanted(1, "a", 60, 0)
    life.loaded("a", 0, 130)
    assert life.reserved_mb == 130
    life.wanted(2, "b", 20, 1)
    assert life.released(1, "a", 2) == [Stop("a", "memory needed")]
    life.wanted(3, "a", 60, 3)
    assert life.stopped("a", 4) == [Start("b")]
    assert life.loaded("b", 5) == [Grant(2, "b")]
    assert life.released(2, "b", 6) == [Stop("b", "memory needed")]
    assert life.stopped("b", 7) == [
        Start("a")
    ]  # alone, for that is what it needs; not stuck behind a size there is not
    assert life.reserved_mb == LIMITS.budget_mb


def candidate(name: str, need_mb: int) -> Model:
    return Model(name, need_mb, stage=Stage.READY)


@pytest.mark.parametrize(
    ("need_mb", "free_mb", "sizes", "expected"),
    [
        (50, 50, [30], []),
        (50, 20, [30, 30], [0]),
        (50, 0, [30, 20, 10], [0, 1]),
        (50, 0, [10, 60], [1]),  # the large one makes the small one needless
        (50, 10, [10, 20], None),
        (50, 0, [], None),
    ],
)
def test_evict(need_mb: int, free_mb: int, sizes: list[int], expected: list[int] | None) -> None:
    models = [candidate(str(index), size) for index, size in enumerate(sizes)]
    victims = evict(need_mb, free_mb, models)
    assert (None if victims is None else [int(victim.name) for victim in victims]) == expected
