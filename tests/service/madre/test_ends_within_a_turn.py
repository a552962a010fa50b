"""Madre ends in the middle of a turn: what is true of it afterwards, by its result and in its conversation."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from config.db_schema import PlanRow, Task
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.speech import ANA, OLGA, SpokenTo, spoken_to

OPEN: dict[str, Any] = {"action": "power.open_window", "arguments": {"services": ["switch"], "ttl_sec": 60}}
SENTENCE = "abre una ventana para hermes durante 2 minutos"
MOMENTS = pytest.mark.parametrize("moment", ["before it is started", "while it runs"])


def rows(madre: SpokenTo, table: Any) -> list[Any]:
    with madre.house.db.read() as session:
        return list(session.scalars(select(table)))


async def planned(madre: SpokenTo) -> str:
    """The one plan there is, once it is committed."""

    async def look() -> list[str]:
        return [row.plan_id for row in rows(madre, PlanRow)]

    (plan_id,) = await eventually(look, bool)
    return plan_id


def ends(madre: SpokenTo, moment: str) -> None:
    """Have plans come no further than that moment, so that the block's end is the death within the turn."""
    madre.runner.holds, madre.runner.hangs = True, moment == "before it is started"


@MOMENTS
async def test_the_result_of_an_intent_is_its_plan_from_the_moment_there_is_one(tmp_path: Path, moment: str) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock, answer_wait_sec=0.51) as madre:
        ends(madre, moment)
        assert (await madre.ask("exec", **OPEN))["status"] == "RUNNING"
        plan_id = await planned(madre)
    async with spoken_to(tmp_path, clock=clock) as madre:
        result = (await madre.call("GET", "intent/c-1")).json()
        assert (result["plan_id"], result["status"], result["mode"]) == (plan_id, "RUNNING", "MADRE")
        assert (result["degraded"], result["error"]) == (False, None)
        await madre.house.db.writing(madre.runner.end, plan_id)
        assert (await madre.call("GET", "intent/c-1")).json()["status"] == "DONE"


@MOMENTS
async def test_a_conversation_knows_what_was_ordered_in_it(tmp_path: Path, moment: str) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock) as madre:
        ends(madre, moment)
        body, named = {"message": SENTENCE, "session_id": "c"}, {"x-correlation-id": "chat-1"}
        saying = asyncio.create_task(madre.call("POST", "chat", json=body, headers=named))
        plan_id = await planned(madre)
    await asyncio.gather(saying, return_exceptions=True)
    async with spoken_to(tmp_path, clock=clock) as madre:
        result = (await madre.call("GET", "intent/chat-1")).json()
        assert (result["plan_id"], result["status"], result["error"]) == (plan_id, "RUNNING", None)
        kept = (await madre.call("GET", "sessions/c")).json()
        assert [(one["speaker"], one["text"], one["plan_id"]) for one in kept["turns"]] == [("user", SENTENCE, plan_id)]
        await madre.house.db.writing(madre.runner.end, plan_id)
        closed = await madre.say("ciérrala", session_id="c")
        assert closed["actions"][0]["action"] == "power.close_window"


async def test_what_nobody_could_answer_any_more_stays_as_said(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock, answer_wait_sec=0.51) as madre:
        madre.driver.silence = asyncio.Event()
        await madre.ask("chat", ANA, text="hello", session_id="c")
    for _ in range(2):  # it is over once: the life after the next one adds nothing
        async with spoken_to(tmp_path, clock=clock) as madre:
            kept = (await madre.call("GET", "sessions/c", ANA)).json()
            assert [(one["speaker"], one["text"]) for one in kept["turns"]] == [("user", "hello")]
            assert (await madre.call("GET", "intent/c-1", ANA)).json()["status"] == "ERROR"


async def test_an_ended_turn_of_daughters_is_shown_as_theirs(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock) as madre:
        await madre.ask("spawn", ANA, code="print(6 * 7)")
        with madre.house.db.write() as session:
            session.scalars(select(Task)).one().mode = "MADRE"  # as a death leaves it
        assert (await madre.call("GET", "intent/c-1", ANA)).json()["mode"] == "SPAWNER"


async def test_a_plan_that_could_not_be_started_at_once_is_still_what_came_of_it(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        madre.runner.is_down = True
        refused = await madre.ask("exec", OLGA, **OPEN)
        assert (refused["status"], refused["plan_id"]) == ("RUNNING", await planned(madre))
        result = (await madre.call("GET", "intent/c-1")).json()
        assert (result["plan_id"], result["status"]) == (refused["plan_id"], "RUNNING")
