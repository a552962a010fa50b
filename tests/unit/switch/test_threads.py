"""How many threads a worker gets."""

from __future__ import annotations

import os

import pytest

from switch.threads import Threads, threads_for


@pytest.mark.parametrize(
    ("cores", "threads"), [(1, Threads(1, 1)), (2, Threads(1, 2)), (4, Threads(3, 4)), (16, Threads(15, 16))]
)
def test_decoding_leaves_a_core_to_the_rest_of_the_chain(cores: int, threads: Threads) -> None:
    assert threads_for(None, None, cores) == threads


def test_a_setting_is_a_setting() -> None:
    assert threads_for(3, 5, 2) == Threads(3, 5)
    assert threads_for(3, None, 2) == Threads(3, 2)


def test_only_cores_this_process_may_use_count() -> None:
    assert threads_for(None, None) == threads_for(None, None, len(os.sched_getaffinity(0)))
