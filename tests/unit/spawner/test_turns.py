"""How many run at once, and who is next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.turns import Means, Waiting, next_up, slots_for


@pytest.mark.parametrize(
    ("profile", "count"), [("low_power", 2), ("balanced", 5), ("performance", 10), (None, 8), ("unheard_of", 8)]
)
def test_fluzo_says_how_many_and_without_it_eight(profile: str | None, count: int) -> None:
    assert slots_for(profile, 8).count == count


def job(number: int, user: str = "ana", workspace: str | None = None) -> Waiting:
    return Waiting(f"{user}{number}", user, workspace)


def test_the_oldest_go_first_up_to_the_slots() -> None:
    waiting = [job(number) for number in range(5)]
    assert next_up(waiting, [], 3) == ["ana0", "ana1", "ana2"]
    assert next_up(waiting, [job(8), job(9)], 3) == ["ana0"]
    assert next_up(waiting, [job(8), job(9)], 2) == []
    assert next_up(waiting, [job(7), job(8), job(9)], 2) == [], "fewer slots than run now"


def test_nobody_waits_behind_the_crowd_of_another() -> None:
    waiting = [*(job(number) for number in range(6)), job(0, "ben"), job(1, "ben")]
    assert next_up(waiting, [], 4) == ["ana0", "ben0", "ana1", "ben1"]
    assert next_up(waiting, [job(9), job(8)], 4) == ["ben0", "ben1"]


def test_one_at_a_time_works_in_a_workspace() -> None:
    waiting = [job(0, workspace="w"), job(1, workspace="w"), job(2, workspace="v"), job(0, "ben", "w")]
    assert next_up(waiting, [], 8) == ["ana0", "ben0", "ana2"]
    assert next_up(waiting, [job(9, workspace="w")], 8) == ["ben0", "ana2"]


JOBS = st.lists(
    st.builds(Waiting, st.uuids().map(str), st.sampled_from("abc"), st.sampled_from([None, "v", "w"])), max_size=20
)


@given(JOBS, JOBS, st.integers(0, 12))
def test_whoever_is_chosen_may_start_and_no_slot_stays_empty(
    waiting: list[Waiting], running: list[Waiting], slots: int
) -> None:
    chosen = [next(job for job in waiting if job.spawn_id == name) for name in next_up(waiting, running, slots)]
    assert len({job.spawn_id for job in chosen}) == len(chosen) <= max(0, slots - len(running))
    places = [job.place for job in chosen if job.place]
    assert len(set(places)) == len(places)
    assert not set(places) & {job.place for job in running}
    if len(running) + len(chosen) < slots:
        taken = set(places) | {job.place for job in running}
        assert all(job.place in taken for job in waiting if job not in chosen and job.place is not None)
        assert all(job in chosen for job in waiting if job.place is None)


def taking(number: int, memory: float = 0, disk: float = 0, user: str = "ana") -> Waiting:
    return Waiting(f"{user}{number}", user, None, memory, disk)


def test_together_they_take_no_more_memory_than_there_is() -> None:
    waiting = [taking(number, memory=256) for number in range(8)]
    assert next_up(waiting, [], 8, Means(memory_mb=1000)) == ["ana0", "ana1", "ana2"]
    assert next_up(waiting, [taking(9, memory=600)], 8, Means(memory_mb=1000)) == ["ana0"]
    assert next_up([taking(0, memory=800), taking(1, memory=100)], [taking(9, memory=600)], 8, Means(1000)) == ["ana1"]


def test_each_counts_with_all_that_it_may_leave_on_the_disk() -> None:
    waiting = [taking(0, disk=300), taking(1, disk=300), taking(0, disk=300, user="ben")]
    assert next_up(waiting, [], 8, Means(disk_mb_of={"ana": 500, "ben": 500})) == ["ana0", "ben0"]
    assert next_up(waiting, [], 8, Means(disk_mb=700)) == ["ana0", "ben0"]


def test_what_could_never_start_is_known_at_once() -> None:
    means = Means(memory_mb=1000, disk_mb=1000, disk_mb_of={"ana": 100})
    assert means.why_never(taking(0, memory=1001)) == "memory"
    assert means.why_never(taking(0, disk=101)) == "disk"
    assert means.why_never(taking(0, disk=1001, user="ben")) == "disk"
    assert means.why_never(taking(0, memory=1000, disk=100)) is None
