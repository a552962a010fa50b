"""What exactly is run, and within which limits."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from config.contracts.spawning import DoorSpawn, Limits, SpawnOrder, Work
from config.errors import Invalid, TooLarge
from config.settings import SpawnerSettings
from spawner.orders import limits_for_cage, limits_of, program_of, tool_call

SETTINGS = SpawnerSettings(memory_mb=100, output_kb=64, most=4)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"code": "print(1)"}, ("python", "print(1)")),
        ({"code": "ls", "task_type": "shell"}, ("shell", "ls")),
        ({"cmd": "ls | wc"}, ("shell", "ls | wc")),
        ({"cmd": ["echo", "a b", "$HOME"]}, ("shell", "echo 'a b' '$HOME'")),
        ({"code": '{"tool": "switch.chat"}', "task_type": "tool"}, ("tool", '{"tool": "switch.chat"}')),
    ],
)
def test_what_is_run(given: dict[str, Any], read: tuple[str, str]) -> None:
    assert program_of(Work(**given)) == read


def test_what_could_never_run_is_refused_at_once() -> None:
    with pytest.raises(Invalid):
        program_of(Work(code="a\0b"))
    with pytest.raises(TooLarge):
        program_of(Work(code="#" * 250_000))
    for code in ("no json", "[]", '{"tool": 3}', '{"tool": "x", "arguments": []}', "[" * 100_000):
        with pytest.raises(Invalid):
            tool_call(code)


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"code": "x", "cmd": "y"},
        {"cmd": "x", "task_type": "python"},
        {"code": "x", "ttl_seconds": 0},
        {"code": "x", "ttl_seconds": 86_401},
        {"code": "x", "max_retries": 11},
        {"code": "x", "parent_task_id": "spawn-1"},
        {"code": "x", "subtasks": [{}]},
        {"code": "x", "alternatives": [{}]},
        {"code": "x", "metadata": {"long": "x" * 20_000}},
        {"code": "x", "workspace": "../up"},
        {"code": "x", "unheard_of": 1},
        {"code": ""},
        {"cmd": []},
    ],
)
def test_orders_that_make_no_sense_are_refused(order: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SpawnOrder(**order)


def test_the_defaults_are_the_contracts() -> None:
    order = SpawnOrder(code="x")
    assert (order.ttl_seconds, order.max_retries, order.auto_retry) == (300, 2, True)
    door = DoorSpawn(task_type="python", code="x")
    assert (door.ttl_seconds, door.max_retries) == (3600, 0)
    asked = DoorSpawn(
        task_type="shell", code="x", ttl_seconds=5, max_retries=3, metadata={"a": 1}, correlation_id="c-1"
    )
    sent = asked.order
    assert (sent.task_type, sent.code, sent.ttl_seconds, sent.max_retries) == ("shell", "x", 5, 3)
    assert (sent.metadata, sent.trace_id) == ({"a": 1}, "c-1")


def test_times_that_nobody_named_are_the_jobs_own() -> None:
    limits = limits_of(Limits(), 40, SETTINGS)
    assert (limits["cpu_sec"], limits["wall_sec"], limits["memory_mb"], limits["output_kb"]) == (40, 40, 100, 64)
    asked = limits_of(Limits(wall_sec=5, memory_mb=400), 40, SETTINGS)
    assert (asked["wall_sec"], asked["memory_mb"], asked["cpu_sec"]) == (5, 400, 40)


def test_more_than_the_settings_allow_is_refused_field_by_field() -> None:
    with pytest.raises(Invalid) as refused:
        limits_of(Limits(wall_sec=41, memory_mb=401), 40, SETTINGS)
    assert refused.value.errors == [
        {"field": "limits.wall_sec", "message": "at most 40"},
        {"field": "limits.memory_mb", "message": "at most 400"},
    ]


def test_no_try_outlasts_what_is_left_of_the_ttl() -> None:
    limits = limits_of(Limits(wall_sec=20), 40, SETTINGS)
    assert limits_for_cage(limits, 30).wall_sec == 20
    assert limits_for_cage(limits, 7.5).wall_sec == 7.5
    assert limits_for_cage(limits, -1).wall_sec > 0
    assert limits_for_cage(limits, 30).output_bytes == 65_536
