"""Intents as calls: what each type does, who may ask what came of it, and what a death leaves."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from config.contracts.plans import Fault
from config.db_schema import AuditLog, PlanRow, Task
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.speech import ADA, ANA, EVA, OLGA, SpokenTo, spoken_to

OPEN: dict[str, Any] = {"action": "power.open_window", "arguments": {"services": ["switch"], "ttl_sec": 60}}


def rows(madre: SpokenTo, table: Any) -> list[Any]:
    with madre.house.db.read() as session:
        return list(session.scalars(select(table)))


async def test_exec_does_what_is_harmless_and_its_result_is_had_by_correlation_id(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        done = await madre.ask("exec", correlation_id="mine", **OPEN)
        assert (done["correlation_id"], done["status"], done["mode"]) == ("mine", "DONE", "MADRE")
        result = (await madre.call("GET", "intent/mine")).json()
        assert (result["status"], result["plan_id"]) == ("DONE", done["plan_id"])
        assert result["result"] == {"1": {"found": "nothing"}}
        (plan,) = rows(madre, PlanRow)
        assert (plan.correlation_id, plan.source) == ("mine", "test")


async def test_plan_only_draws_up_however_harmless(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        drawn = await madre.ask("plan", **OPEN)
        assert (drawn["status"], drawn["risk"], madre.runner.started) == ("WAITING", "LOW", [])
        token = {"confirm_token": drawn["confirmation"]["confirm_token"]}
        assert (await madre.call("POST", f"plans/{drawn['plan_id']}/confirm", json=token)).status_code == 200
        result = (await madre.call("GET", "intent/c-1")).json()
        assert (result["status"], result["confirmation"]) == ("DONE", None)


async def test_a_result_is_the_plans_real_state(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        madre.runner.fault = Fault(code="start_failed", detail="switch would not come up")
        await madre.ask("exec", **OPEN)
        failed = (await madre.call("GET", "intent/c-1")).json()
        assert (failed["status"], failed["error"]["code"]) == ("ERROR", "start_failed")
        drawn = await madre.ask("plan", correlation_id="c-2", **OPEN)
        await madre.call("POST", f"plans/{drawn['plan_id']}/cancel", json={})
        cancelled = (await madre.call("GET", "intent/c-2")).json()
        assert (cancelled["status"], cancelled["error"]["code"]) == ("ERROR", "cancelled")


async def test_spawn_is_a_plan_of_a_daughter(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        asked = await madre.ask("spawn", ANA, code="print(6 * 7)", ttl_seconds=60)
        assert (asked["status"], asked["mode"]) == ("WAITING", "SPAWNER")
        (step,) = asked["actions"]
        assert (step["action"], step["arguments"]["ttl_seconds"]) == ("task.run_python", 60)
        said = await madre.ask("spawn", ANA, correlation_id="c-2", text="uptime", task_type="shell")
        assert said["actions"][0]["arguments"]["code"] == "uptime"
        wrong = await madre.call("POST", "intent", ANA, json={"type": "spawn", "payload": {"task_type": "tool"}})
        assert wrong.status_code == 422


async def test_chat_as_an_intent_goes_on_with_its_conversation(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        await madre.ask("chat", ANA, text="hello", session_id="c")
        again = await madre.ask("chat", ANA, text="and now", session_id="c")
        assert (again["mode"], again["response"], again["session_id"]) == ("SWITCH", "Hello.", "c")
        assert len(madre.driver.heard[-1]["messages"]) == 4


async def test_what_orders_nothing_has_no_lane(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        for kind in ("exec", "plan"):
            lost = await madre.ask(kind, text="hello, how are you?")
            assert (lost["status"], lost["error"]["code"], lost["plan_id"]) == ("ERROR", "lane_missing", None)
        assert (madre.driver.heard, rows(madre, PlanRow)) == ([], [])


async def test_an_order_in_unknown_words_is_a_models_guess_and_waits(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        said = "VX11, sleepy time for the prompts thing: switch"
        guess = {"action": "power.close_window", "arguments": {"services": ["switch"]}, "risk": "LOW"}
        madre.driver.reply = json.dumps({"intents": [guess]})
        guessed = await madre.ask("exec", text=said)
        assert (guessed["status"], guessed["actions"][0]["action"]) == ("WAITING", "power.close_window")
        assert "guessed by a model" in guessed["warnings"]
        form = madre.driver.heard[-1]["metadata"]["response_format"]["json_schema"]["schema"]
        assert form["required"] == ["intents"]
        madre.driver.reply = "I would love to."
        lost = await madre.ask("exec", text=said)
        assert (lost["error"]["code"], "not in the agreed form" in lost["error"]["detail"]) == ("lane_missing", True)
        assert madre.runner.started == []


@pytest.mark.parametrize(
    ("risk", "reasons"),
    [("LOW", []), ("HIGH", ["HIGH: a model's opinion: it guessed at this order, and holds it for HIGH"])],
)
async def test_a_guess_waits_however_harmless_and_its_model_is_heard(
    tmp_path: Path, risk: str, reasons: list[str]
) -> None:
    async with spoken_to(tmp_path) as madre:
        guess = {"action": "comm.notify", "arguments": {"message": "lunch"}, "risk": risk}
        madre.driver.reply = json.dumps({"intents": [guess]})
        guessed = await madre.ask("exec", text="everybody ought to hear of lunch")
        assert (guessed["status"], guessed["risk"], guessed["reasons"]) == ("WAITING", risk, reasons)
        assert madre.runner.started == []


async def test_a_guess_at_something_for_tomorrow_waits_for_tomorrow(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        guess = {"action": "models.pull", "arguments": {"model": "gemma"}, "risk": "LOW"}
        madre.driver.reply = json.dumps({"intents": [guess]})
        guessed = await madre.ask("exec", text="gemma ought to be around here tomorrow at 8")
        plan = (await madre.call("GET", f"plans/{guessed['plan_id']}")).json()
        at_eight = madre.house.clock.now().replace(hour=8, minute=0, second=0, microsecond=0) + timedelta(days=1)
        assert datetime.fromisoformat(plan["steps"][0]["not_before"]) == at_eight
        lost = await madre.ask("exec", text="gemma ought to be around here in a few hours", correlation_id="c-2")
        assert (lost["error"]["code"], "it says when" in lost["error"]["detail"]) == ("lane_missing", True)
        asked = len(madre.driver.heard)
        lost = await madre.ask("exec", text="gemma ought to be around here next week", correlation_id="c-3")
        assert "'next week' is no day that is known here" in lost["error"]["detail"]
        assert (lost["plan_id"], len(madre.driver.heard)) == (None, asked), "what is in doubt is not guessed at"


async def test_a_guess_names_only_what_its_caller_may_do(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        await madre.ask("exec", ANA, text="sleepy time for the prompts thing")
        items = madre.driver.heard[-1]["metadata"]["response_format"]["json_schema"]["schema"]
        listed = json.dumps(items)
        assert "power.state" in listed
        assert "power.open_window" not in listed
        assert "scan.run" not in listed


async def test_what_must_be_had_is_woken_first(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        await madre.ask("chat", ANA, text="hello", require={"hermes": True})
        assert ("start", "hermes") in madre.driver.told
    async with spoken_to(tmp_path / "manual", power={"wake": "manual"}) as madre:
        off = await madre.ask("exec", **OPEN, require={"hermes": True})
        assert (off["status"], off["error"]["code"]) == ("ERROR", "off_by_policy")
        absent = await madre.ask("exec", **OPEN, require={"shub": True})
        assert absent["error"]["code"] == "service_absent"
        assert rows(madre, PlanRow) == []


async def test_what_must_not_be_used_is_not(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        alone = await madre.ask("chat", ANA, text="hello", require={"switch": False})
        assert (alone["degraded"], alone["response"], alone["mode"]) == (True, None, "FALLBACK")
        refused = await madre.ask("exec", action="models.list", require={"hermes": False})
        assert (refused["status"], refused["error"]["code"]) == ("ERROR", "conflict")
        assert madre.driver.told == []


async def test_an_answer_that_takes_long_is_had_later(tmp_path: Path) -> None:
    async with spoken_to(tmp_path, answer_wait_sec=0.51) as madre:
        madre.driver.silence = asyncio.Event()
        early = await madre.ask("chat", ANA, text="hello")
        assert (early["status"], early["response"]) == ("RUNNING", None)

        async def status() -> str:
            return str((await madre.call("GET", "intent/c-1", ANA)).json()["status"])

        assert await status() == "RUNNING"
        madre.driver.silence.set()
        await eventually(status, lambda seen: seen == "DONE")
        assert (await madre.call("GET", "intent/c-1", ANA)).json()["response"] == "Hello."


async def test_another_users_intent_is_not_there(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        await madre.ask("chat", ANA, text="hello", correlation_id="guessed")
        for somebody in (EVA, OLGA, ADA):
            assert (await madre.call("GET", "intent/guessed", somebody)).status_code == 404
        assert (await madre.call("GET", "intent/guessed", OLGA, params={"user": "ana"})).status_code == 404
        read = await madre.call("GET", "intent/guessed", ADA, params={"user": "ana"})
        assert (read.status_code, read.json()["response"]) == (200, "Hello.")
        assert [row.user for row in rows(madre, AuditLog) if row.action == "intent.read"] == ["ada"]
        await madre.ask("chat", EVA, text="mine", correlation_id="guessed")
        assert len([row for row in rows(madre, Task) if row.correlation_id == "guessed"]) == 2


async def test_what_madre_was_in_the_middle_of_when_she_died_is_said_to_be_over(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock, answer_wait_sec=0.51) as madre:
        madre.driver.silence = asyncio.Event()
        assert (await madre.ask("chat", ANA, text="hello"))["status"] == "RUNNING"
    async with spoken_to(tmp_path, clock=clock) as madre:
        over = (await madre.call("GET", "intent/c-1", ANA)).json()
        assert (over["status"], over["degraded"], over["error"]["code"]) == ("ERROR", True, "unavailable")


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("exec", {}),
        ("exec", {"text": 7}),
        ("exec", {"text": "x", "session_id": "../etc"}),
        ("exec", {"text": "x", "require": {"switch": "yes"}}),
        ("exec", {"text": "x", "priority": "P9"}),
        ("exec", {"action": ["power.state"]}),
        ("exec", {"action": "power.state", "arguments": 3}),
        ("dance", {"text": "x"}),
    ],
)
async def test_what_is_no_intent_is_422(tmp_path: Path, kind: str, payload: dict[str, Any]) -> None:
    async with spoken_to(tmp_path) as madre:
        refused = await madre.call("POST", "intent", json={"type": kind, "payload": payload})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"source": "autonomy"}, "what madre does by herself"),
        ({"correlation_id": "spawn-0123abcd"}, "a daughter's"),
    ],
)
async def test_names_that_mean_something_else_are_refused_with_a_word(
    tmp_path: Path, fields: dict[str, str], word: str
) -> None:
    async with spoken_to(tmp_path) as madre:
        body = {"type": "plan", "payload": {"text": "driver.blind: driver", **OPEN}, **fields}
        refused = await madre.call("POST", "intent", ANA, json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
        assert word in refused.text
        assert (rows(madre, Task), rows(madre, PlanRow)) == ([], [])


async def test_a_daughters_name_in_the_header_names_no_intent(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        body = {"type": "chat", "payload": {"text": "hello"}}
        refused = await madre.call("POST", "intent", ANA, json=body, headers={"x-correlation-id": "spawn-0123abcd"})
        assert (refused.status_code, "a daughter's" in refused.text) == (422, True)


async def test_an_action_nobody_registered_is_404_with_those_that_are_near(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        lost = await madre.call("POST", "intent", json={"type": "exec", "payload": {"action": "power.opn_window"}})
        assert (lost.status_code, "power.open_window" in lost.json()["hint"]) == (404, True)
