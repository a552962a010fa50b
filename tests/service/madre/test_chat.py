"""Chat: what orders becomes a plan, all else a model answers, and where none can, that is what is said."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from config.db_schema import AuditLog, IntentLog, PlanRow, PlanStep, Task
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.speech import ADA, ANA, EVA, OLGA, SpokenTo, spoken_to

PRESENT_NOW = ("tentaculo_link", "madre", "switch", "hermes", "spawner")  # hormiguero and manifestator come later


def rows(madre: SpokenTo, table: Any) -> list[Any]:
    with madre.house.db.read() as session:
        return list(session.scalars(select(table)))


async def test_talk_is_answered_by_a_model_that_knows_what_was_said_before(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        madre.driver.reply = "Hello, Ana."
        first = await madre.say("hello, I am Ana", ANA)
        assert (first["response"], first["mode"], first["status"]) == ("Hello, Ana.", "SWITCH", "DONE")
        assert (first["provider"], first["model"], first["degraded"]) == ("local", "smol", False)
        await madre.say("and who am I", ANA, session_id=first["session_id"], context={"page": "start"})
        system, *said = madre.driver.heard[-1]["messages"]
        assert [(turn["role"], turn["content"]) for turn in said] == [
            ("user", "hello, I am Ana"),
            ("assistant", "Hello, Ana."),
            ("user", "and who am I"),
        ]
        assert '"page": "start"' in system["content"]
        assert ("start", "switch") in madre.driver.told
        assert rows(madre, PlanRow) == []


async def test_asleep_by_policy_is_said_and_nothing_else_is_said_in_its_place(tmp_path: Path) -> None:
    async with spoken_to(tmp_path, power={"wake": "manual"}) as madre:
        off = await madre.say("tell me a story", ANA, session_id="c")
        assert (off["response"], off["degraded"], off["mode"], off["status"]) == (None, True, "FALLBACK", "ERROR")
        assert (off["error"]["code"], off["provider"], off["model"]) == ("off_by_policy", None, None)
        assert "window/open" in off["hint"]
        (task,) = rows(madre, Task)
        assert (task.status, task.degraded, task.response) == ("ERROR", True, None)
        remembered = (await madre.call("GET", "sessions/c", ANA)).json()
        assert [turn["speaker"] for turn in remembered["turns"]] == ["user"]


async def test_a_switch_that_fails_is_said(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        madre.driver.problem = {"status": 503, "code": "model_failed", "detail": "smol died.", "title": "Model failed"}
        failed = await madre.say("hello", ANA)
        assert (failed["degraded"], failed["response"]) == (True, None)
        assert failed["error"] == {"code": "model_failed", "detail": "smol died."}
        madre.driver.problem, madre.driver.reply = None, "  "
        empty = await madre.say("hello", ANA)
        assert (empty["degraded"], empty["error"]["code"]) == (True, "bad_peer")


async def test_a_harmless_order_is_done_at_once(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        done = await madre.say("show the status of the system", ANA, session_id="c")
        assert (done["status"], done["mode"], done["risk"]) == ("DONE", "MADRE", "LOW")
        assert madre.runner.started == [done["plan_id"]]
        assert done["actions"][0]["result"] == {"found": "nothing"}
        assert (done["confirmation"], done["provider"]) == (None, None)
        assert madre.driver.heard == []
        turns = (await madre.call("GET", "sessions/c", ANA)).json()["turns"]
        assert [turn["plan_id"] for turn in turns] == [done["plan_id"]] * 2


async def test_eight_o_clock_is_that_of_the_house(tmp_path: Path) -> None:
    async with spoken_to(tmp_path, timezone="Europe/Madrid") as madre:
        planned = await madre.say("open switch tomorrow at 8")
        assert planned["warnings"] == ["not before 2026-11-22 08:00+01:00"]
        assert [step.not_before for step in rows(madre, PlanStep)] == [datetime(2026, 11, 22, 7, tzinfo=UTC)]


async def test_an_hour_is_understood_in_the_zone_of_a_machine_that_nobody_named(tmp_path: Path) -> None:
    """Such a zone comes from a file, and can be neither copied nor pickled."""
    async with spoken_to(tmp_path, timezone=None) as madre:
        planned = await madre.say("open switch in 10 minutes")
        assert planned["warnings"][0].startswith("not before 2026-11-2")
        asked = await madre.say("could you open switch in 10 minutes?")
        assert asked["withheld"][0]["not_before"].endswith("Z")
        assert [step.not_before for step in rows(madre, PlanStep)] == [madre.house.clock.now() + timedelta(minutes=10)]


async def test_a_risky_order_waits_for_its_token(tmp_path: Path) -> None:
    async with spoken_to(tmp_path, service_control=True) as madre:
        await madre.call("POST", "power/window/open", json={"services": ["switch"]})
        waits = await madre.say("stop switch")
        assert (waits["status"], waits["risk"], madre.runner.started) == ("WAITING", "HIGH", [])
        assert "waits for your confirmation" in waits["response"]
        token = waits["confirmation"]["confirm_token"]
        assert token not in waits["response"]
        turns = (await madre.call("GET", f"sessions/{waits['session_id']}")).json()["turns"]
        assert all(token not in turn["text"] for turn in turns)
        confirmed = await madre.call("POST", f"plans/{waits['plan_id']}/confirm", json={"confirm_token": token})
        assert confirmed.status_code == 200, confirmed.text
        assert madre.runner.started == [waits["plan_id"]]


@pytest.mark.parametrize(
    "words", ["abre una ventana para switch durante 5 minutos", "open a window on switch for 5 min"]
)
async def test_after_any_talk_an_order_is_an_order(tmp_path: Path, words: str) -> None:
    async with spoken_to(tmp_path) as madre:
        talk = await madre.say("hello there")
        order = await madre.say(words, session_id=talk["session_id"])
        assert (order["mode"], order["actions"][0]["action"]) == ("MADRE", "power.open_window")
        assert order["actions"][0]["arguments"]["services"] == ["switch"]
        assert order["actions"][0]["arguments"]["ttl_sec"] == 300
        again = await madre.say("thank you very much", session_id=talk["session_id"])
        assert again["mode"] == "SWITCH"


@pytest.mark.parametrize(
    "words",
    [
        "should I stop switch?",
        "¿puedo borrar el modelo gemma?",
        "do not stop switch",
        "no borres el modelo gemma",
        "what does deleting a model do?",
    ],
)
async def test_a_question_and_a_negation_never_act(tmp_path: Path, words: str) -> None:
    async with spoken_to(tmp_path) as madre:
        talked = await madre.say(words)
        assert (talked["mode"], talked["plan_id"], talked["actions"]) == ("SWITCH", None, [])
        assert (rows(madre, PlanRow), madre.runner.started) == ([], [])
        assert {row.outcome for row in rows(madre, IntentLog)} <= {"question", "negated", "chat"}


async def test_what_a_sentence_leaves_out_is_what_was_spoken_of(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        opened = await madre.say("open a window on switch", session_id="c")
        assert opened["status"] == "DONE"
        closed = await madre.say("close the window", session_id="c")
        assert closed["actions"][0]["action"] == "power.close_window"
        assert closed["actions"][0]["arguments"]["services"] == ["switch"]
        assert "services is switch, as spoken of before" in closed["warnings"]
        elsewhere = await madre.say("close the window", session_id="d")
        assert elsewhere["actions"][0]["arguments"]["services"] == []


async def test_what_is_refused_is_said_with_its_reason_and_leaves_no_plan(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        refused = await madre.say("open a window on switch", ANA)
        assert (refused["status"], refused["error"]["code"], refused["degraded"]) == ("ERROR", "role_required", False)
        assert refused["response"].startswith("Nothing was done.")
        assert refused["understood"] == ['VX11::POWER action="power.open_window" target="switch" services="switch"']
        absent = await madre.say('VX11::HORMIGUERO action="scan.run"')
        assert absent["error"]["code"] == "service_absent"
        assert rows(madre, PlanRow) == []


NAMED = "analiza el sistema y si hay drift prepara un parche"
READ_AS = [
    'VX11::HORMIGUERO action="scan.run"',
    'VX11::SCAN action="scan.drift"',
    'VX11::PATCH action="patch.plan" condition="drift"',
]


@pytest.mark.parametrize("kind", ["chat", "plan", "exec"])
async def test_an_order_for_rooms_that_are_not_here_shows_that_it_was_understood(tmp_path: Path, kind: str) -> None:
    async with spoken_to(tmp_path, present=PRESENT_NOW) as madre:
        refused = await (madre.say(NAMED) if kind == "chat" else madre.ask(kind, text=NAMED))
        assert (refused["status"], refused["error"]["code"]) == ("ERROR", "service_absent")
        assert refused["understood"] == READ_AS
        assert "added, because what follows depends on drift" in refused["warnings"]
        for room in ("hormiguero", "manifestator"):
            assert room in refused["error"]["detail"], "every room that is missing, not the first one"
            assert room in refused["hint"]
        assert refused["response"].splitlines()[-4:] == ["It was read as:", *READ_AS]
        assert rows(madre, PlanRow) == []
        again = await madre.say("\n".join(refused["understood"]))
        assert again["understood"] == refused["understood"], "each line is that act"


async def test_what_can_be_done_without_the_absent_rooms_is_pointed_at(tmp_path: Path) -> None:
    async with spoken_to(tmp_path, present=PRESENT_NOW) as madre:
        refused = await madre.say("open switch and look for drift")
        assert refused["hint"].startswith("Order the rest without that")
        assert madre.runner.started == []


async def test_a_conversation_is_its_users_own(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        await madre.say("my secret is blue", ANA, session_id="c")
        for somebody in (EVA, OLGA, ADA):
            assert (await madre.call("GET", "sessions/c", somebody)).status_code == 404
        for somebody in (EVA, OLGA):
            other = await madre.call("GET", "sessions/c", somebody, params={"user": "ana"})
            assert (other.status_code, other.json()["code"]) == (404, "not_found")
        await madre.say("hello", EVA, session_id="c")
        assert all("blue" not in turn["content"] for turn in madre.driver.heard[-1]["messages"])
        assert (await madre.call("DELETE", "sessions/nobodys", EVA)).status_code == 404
        assert len((await madre.call("GET", "sessions/c", ANA)).json()["turns"]) == 2


async def test_an_admin_may_read_anothers_and_it_is_on_record(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        await madre.say("my secret is blue", ANA, session_id="c")
        read = await madre.call("GET", "sessions/c", ADA, params={"user": "ana"})
        assert read.json()["turns"][0]["text"] == "my secret is blue"
        (row,) = [row for row in rows(madre, AuditLog) if row.action == "conversation.read"]
        assert (row.user, row.target, row.detail) == ("ada", "c", {"of": "ana", "override": True})


async def test_a_conversation_ends_when_nobody_goes_on_with_it(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock, conversation_ttl_sec=100) as madre:
        await madre.say("hello", ANA, session_id="c")
        clock.advance(99)
        await madre.say("still here", ANA, session_id="c")
        assert len(madre.driver.heard[-1]["messages"]) == 4
        clock.advance(100)
        assert (await madre.call("GET", "sessions/c", ANA)).status_code == 404
        await madre.say("anybody", ANA, session_id="c")
        assert len(madre.driver.heard[-1]["messages"]) == 2


async def test_a_token_that_is_said_is_not_kept(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        secret = "vx11_" + "s" * 43
        madre.driver.reply = f"So {secret} it is."
        await madre.say(f"my token is {secret}", ANA, session_id="c")
        kept = (await madre.call("GET", "sessions/c", ANA)).text
        assert "[redacted]" in kept
        with madre.house.db.read() as session:
            everything = str([[*row] for row in session.execute(select(Task.text, Task.response))])
        assert secret not in kept + everything


async def test_forgotten_on_request(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        await madre.say("hello", ANA, session_id="c")
        assert (await madre.call("DELETE", "sessions/c", ANA)).status_code == 204
        assert (await madre.call("GET", "sessions/c", ANA)).status_code == 404


async def test_one_user_may_have_so_many_turns_at_work(tmp_path: Path) -> None:
    async with spoken_to(tmp_path, parallel_per_user=2) as madre:
        madre.driver.silence = asyncio.Event()
        slow = [asyncio.create_task(madre.say("hello", ANA)) for _ in range(2)]

        async def heard() -> int:
            return len(madre.driver.heard)

        await eventually(heard, lambda count: count == 2)
        third = await madre.call("POST", "chat", ANA, json={"message": "and me"})
        assert (third.status_code, third.json()["code"], third.headers["retry-after"]) == (429, "rate_limited", "1")
        others = asyncio.create_task(madre.say("hello", EVA))
        await eventually(heard, lambda count: count == 3)
        madre.driver.silence.set()
        assert [one["status"] for one in await asyncio.gather(*slow, others)] == ["DONE"] * 3
        assert (await madre.say("again", ANA))["status"] == "DONE"


async def test_one_user_may_say_so_much_a_minute(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock, sentences_per_min=2) as madre:
        for _ in range(2):
            await madre.say("hello", ANA)
        refused = await madre.call("POST", "chat", ANA, json={"message": "hello"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
        assert (await madre.say("hello", EVA))["status"] == "DONE"
        clock.advance(60)
        assert (await madre.say("hello", ANA))["status"] == "DONE"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": ""},
        {"message": "   "},
        {"message": "x" * 16_385},
        {"message": "x", "session_id": "../etc"},
        {"message": "x", "session_id": ""},
        {"message": "x", "context": {"much": "x" * 16_384}},
        {"message": "x", "unknown": 1},
    ],
)
async def test_what_is_no_sentence_is_422(tmp_path: Path, body: dict[str, Any]) -> None:
    async with spoken_to(tmp_path) as madre:
        refused = await madre.call("POST", "chat", ANA, json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
        assert rows(madre, Task) == []


async def test_said_twice_with_one_key_it_was_said_once(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        key = {"Idempotency-Key": "k1"}
        first = await madre.call("POST", "chat", ANA, headers=key, json={"message": "hello"})
        again = await madre.call("POST", "chat", ANA, headers=key, json={"message": "hello"})
        assert first.json() == again.json()
        assert len(madre.driver.heard) == 1
