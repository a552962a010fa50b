"""Providers by URL, good and bad ones, as a caller of Switch meets them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.auth import Role
from config.db_schema import IaDecision, ModelUsageStat, ProviderStat, RoutingEvent, SwitchQueueV2
from tests.service.switch.conftest import HI, Room, switch_in
from tests.support.clock import ManualClock
from tests.support.scripted_endpoint import TEXT, Endpoint, Plan, scripted_endpoint

KEY = "sk-of-the-tests-0123456789"
GOOD = Plan()


@dataclass
class Far:
    """A Switch with two endpoints, `one` and `two`, beside its local models."""

    room: Room
    one: Endpoint
    two: Endpoint
    file: Path
    clock: ManualClock

    def declare(self, **providers: dict[str, Any]) -> None:
        """Write the providers' file, as a person with an editor would."""
        lines = []
        for name, members in providers.items():
            lines += [f"[providers.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in members.items())]
        self.file.write_text("\n".join(lines))
        self.file.chmod(0o600)
        self.clock.advance(2)

    def both(self, **more: Any) -> None:
        """Both offer the model `far`; `two` is dear, so it is asked second."""
        shared = {"models": ["far"], "first_byte_sec": 0.3, "stall_sec": 0.3, "total_sec": 0.3, **more}
        self.declare(
            one={"url": self.one.url, "api_key": KEY, **shared}, two={"url": self.two.url, "price_out": 1e6, **shared}
        )

    def only_one(self, **more: Any) -> None:
        """Only `one` is there."""
        shared = {"models": ["far"], "first_byte_sec": 0.3, "stall_sec": 0.3, "total_sec": 0.3, **more}
        self.declare(one={"url": self.one.url, "api_key": KEY, **shared})

    async def ask(self, model: str = "far", **more: Any) -> httpx.Response:
        body = {"model": model, "messages": HI, **more}
        return await self.room.client.post("/v1/chat/completions", json=body)


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[Far]:
    file, clock = tmp_path / "providers.toml", ManualClock()
    async with (
        scripted_endpoint() as one,
        scripted_endpoint() as two,
        switch_in(tmp_path, clock=clock, providers_file=file) as room,
    ):
        yield Far(room, one, two, file, clock)


def who(answer: httpx.Response) -> tuple[str, str]:
    return answer.headers["x-vx11-provider"], answer.headers["x-vx11-model"]


async def test_an_endpoint_s_answer_says_who_gave_it_and_leaves_rows(far: Far) -> None:
    far.only_one(price_in=1.0, price_out=2.0, budget_day=1.0)
    answer = await far.ask()
    assert answer.json()["choices"][0]["message"]["content"] == TEXT
    assert who(answer) == ("one", "far")
    assert answer.headers["x-vx11-decision"] == "named by the caller"
    [request] = far.one.requests
    assert request["path"] == "/v1/chat/completions"
    assert request["headers"]["authorization"] == f"Bearer {KEY}"
    [use] = far.room.rows(ModelUsageStat)  # money: it is there when the answer is
    assert (use.provider, use.prompt_tokens, use.completion_tokens) == ("one", 10, 4)
    assert use.cost == pytest.approx(18e-6)
    [day] = far.room.rows(ProviderStat)
    assert (day.provider, day.requests, day.failures, day.cost) == ("one", 1, 0, pytest.approx(18e-6))
    [choice], [decision] = far.room.rows(RoutingEvent), far.room.rows(IaDecision)
    assert set(choice.detail["terms"]) == {"success", "latency", "cost", "quota", "fluzo", "mode"}
    assert (decision.provider, decision.fallback_from, decision.outcome) == ("one", None, "ok")
    [life] = far.room.rows(SwitchQueueV2)
    assert (life.state, life.kind, life.provider, life.payload) == ("DONE", "chat", "one", None)


@pytest.mark.parametrize("asks", [False, True])
async def test_a_stream_passes_and_its_usage_is_counted_but_shown_only_to_who_asked(far: Far, asks: bool) -> None:
    far.only_one()
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if asks else {}
    answer = await far.ask(stream=True, **more)
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events[-1] == "[DONE]"
    assert any('"usage"' in event for event in events) is asks
    [use] = await far.room.kept(ModelUsageStat)
    assert (use.outcome, use.completion_tokens, use.cost) == ("ok", 4, None)


BAD = [
    (Plan("never"), "peer_timeout", 504),
    (Plan("html"), "bad_peer", 502),
    (Plan("junk"), "bad_peer", 502),
    (Plan("status", 500, body="<html>"), "bad_peer", 502),
    (Plan("status", 429, ("retry-after: 20",)), "rate_limited", 429),
    (Plan("status", 503), "unavailable", 503),
    (Plan("status", 401), "unavailable", 503),
    (Plan("status", 402), "unavailable", 503),
    (Plan("status", 302, ("location: http://127.0.0.1:1/",)), "bad_peer", 502),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("plan", "code", "status"), BAD, ids=[f"{plan.does}{plan.status}" for plan, _, _ in BAD])
async def test_a_bad_endpoint_is_told_and_another_with_the_same_model_answers(
    far: Far, plan: Plan, code: str, status: int, stream: bool
) -> None:
    far.only_one()
    far.one.plan = plan
    alone = await far.ask(stream=stream)
    assert (alone.status_code, alone.json()["code"], alone.json()["error"]["code"]) == (status, code, code)
    assert KEY not in alone.text
    far.clock.advance(3700)
    far.both()
    answer = await far.ask(stream=stream)
    assert (answer.status_code, who(answer)) == (200, ("two", "far"))
    assert f"one/far failed ({code})" in answer.headers["x-vx11-decision"]


async def test_half_a_stream_ends_with_an_error_and_half_an_answer_goes_to_the_next(far: Far) -> None:
    far.only_one()
    far.one.plan = Plan("half")
    answer = await far.ask(stream=True)
    last = json.loads([line for line in answer.text.splitlines() if line][-1].removeprefix("data: "))
    assert (answer.status_code, last["error"]["code"]) == (200, "bad_peer")
    assert "[DONE]" not in answer.text
    [use] = await far.room.kept(ModelUsageStat)
    assert use.outcome == "broke_off"
    far.both()
    far.clock.advance(60)
    whole = await far.ask()
    assert (whole.status_code, whole.json()["choices"][0]["message"]["content"]) == (200, TEXT)


async def test_a_stream_that_stalls_ends_with_an_error_and_is_let_go(far: Far) -> None:
    far.only_one()
    far.one.plan = Plan("stall")
    answer = await far.ask(stream=True)
    assert "peer_timeout" in answer.text
    await asyncio.wait_for(far.one.gone.wait(), 5)


async def test_a_client_that_leaves_lets_the_endpoint_go(far: Far) -> None:
    far.only_one(first_byte_sec=60, stall_sec=60)
    far.one.plan = Plan("stall")
    body = {"model": "far", "messages": HI, "stream": True}
    async with far.room.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        await anext(answer.aiter_lines())
    await asyncio.wait_for(far.one.gone.wait(), 5)
    [use] = await far.room.kept(ModelUsageStat)
    assert use.outcome == "cancelled"


async def test_who_refuses_the_request_is_not_blamed_and_its_words_are_passed_on(far: Far) -> None:
    far.both()
    refusal = Plan("status", 400, body=json.dumps({"error": {"message": f"no such field, {KEY}"}}))
    far.one.plan = far.two.plan = refusal
    for _ in range(4):
        answer = await far.ask()
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        assert "no such field, [redacted]" in answer.json()["detail"]
    far.one.plan = far.two.plan = GOOD
    assert (await far.ask()).status_code == 200


async def test_a_key_is_never_logged(far: Far, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    far.only_one()
    far.one.plan = Plan("status", 401)
    await far.ask()
    far.file.chmod(0o640)
    far.clock.advance(400)
    answer = await far.ask()
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")
    assert "0600" in caplog.text
    assert KEY not in caplog.text
    shown = (await far.room.client.get("/switch/providers")).text
    assert KEY not in shown
    assert "0600" in shown


async def test_retry_after_is_respected(far: Far) -> None:
    far.only_one()
    far.one.plan = Plan("status", 429, ("retry-after: 20",))
    first = await far.ask()
    assert (first.status_code, first.headers["retry-after"]) == (429, "20")
    far.one.plan = GOOD
    again = await far.ask()
    assert (again.status_code, again.headers["retry-after"], len(far.one.requests)) == (503, "20", 1)
    far.clock.advance(21)
    assert (await far.ask()).status_code == 200


async def test_three_failures_open_the_breaker_and_one_try_closes_it(far: Far) -> None:
    far.only_one()
    far.one.plan = Plan("status", 500)
    for _ in range(3):
        assert (await far.ask()).status_code == 502
    refused = await far.ask()
    assert (refused.status_code, refused.json()["code"], len(far.one.requests)) == (503, "breaker_open", 3)
    status = (await far.room.client.get("/switch/hermes/status")).json()
    [engine] = [one for one in status["engines"] if one["engine"] == "one/far"]
    assert (engine["breaker"], engine["failures"], engine["excluded"]) == ("open", 3, "it failed 3 times in a row")
    far.one.plan = GOOD
    far.clock.advance(61)
    answers = await asyncio.gather(far.ask(), far.ask())
    assert 200 in {answer.status_code for answer in answers}
    assert (await far.ask()).status_code == 200


async def test_who_failed_a_moment_ago_is_asked_last(far: Far) -> None:
    far.both()
    far.one.plan = far.two.plan = GOOD
    first = who(await far.ask())[0]
    failing, other = (far.one, "two") if first == "one" else (far.two, "one")
    failing.plan = Plan("status", 500)
    assert who(await far.ask()) == (other, "far")
    asked = len(failing.requests)
    assert who(await far.ask()) == (other, "far")
    assert len(failing.requests) == asked


async def test_a_named_model_is_never_another_unless_the_caller_allows_it(far: Far) -> None:
    far.only_one()
    far.one.plan = Plan("status", 500)
    assert (await far.ask()).status_code == 502
    answer = await far.ask(metadata={"fallback": True})
    assert (answer.status_code, who(answer)[0]) == (200, "local")
    assert "one/far failed (bad_peer)" in answer.headers["x-vx11-decision"]
    rows = await far.room.kept(IaDecision, 2)
    assert [(row.provider, row.fallback_from) for row in rows] == [("one", None), ("local", "one/far")]
    failed, chosen = [
        row for row in await far.room.kept(RoutingEvent, 3) if row.correlation_id == rows[1].correlation_id
    ]
    assert (failed.provider, failed.reason) == ("one", "asked, failed: bad_peer")
    assert (chosen.provider, chosen.detail["fallback_allowed"]) == ("local", True)


async def test_a_choice_left_open_goes_round_who_fails(far: Far) -> None:
    far.only_one(tasks=["chat"])
    for name in "abc":
        far.room.change(name, enabled=False)
    far.clock.advance(2)
    assert who(await far.ask("auto")) == ("one", "far")
    assert far.one.requests[-1]["body"]["model"] == "far"
    far.room.change("b", enabled=True)
    far.one.plan = Plan("status", 500)
    far.clock.advance(2)
    assert who(await far.ask("auto")) == ("local", "b")


async def test_a_spent_budget_is_429_with_the_time_it_begins_anew(far: Far) -> None:
    far.only_one(price_in=0.0, price_out=1_000_000.0, budget_day=5.0)  # 1 a token
    assert (await far.ask(max_tokens=1)).status_code == 200
    assert (await far.ask(max_tokens=1)).status_code == 200  # 8 of 5: what is spent is spent
    refused = await far.ask(max_tokens=1)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert "its budget of 5 a day is spent" in refused.json()["detail"]
    midnight = 24 * 3600 - (far.clock.now().hour * 3600 + far.clock.now().minute * 60 + far.clock.now().second)
    assert abs(int(refused.headers["retry-after"]) - midnight) <= 1
    [card] = [
        one for one in (await far.room.client.get("/switch/providers")).json()["providers"] if one["name"] == "one"
    ]
    assert (card["budget"]["spent_day"], card["budget"]["exhausted"]) == (8.0, "its budget of 5 a day is spent")
    allowed = await far.ask(max_tokens=1, metadata={"fallback": True})
    assert who(allowed)[0] == "local"
    far.clock.advance(midnight)
    assert (await far.ask(max_tokens=1)).status_code == 200


async def test_many_at_once_do_not_overdraw_a_budget(far: Far) -> None:
    far.only_one(price_in=0.0, price_out=1_000_000.0, budget_day=8.0)
    answers = await asyncio.gather(*(far.ask(max_tokens=4) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 2 + [429] * 8


async def test_an_answer_without_usage_is_charged_as_guessed(far: Far) -> None:
    far.only_one(price_in=0.0, price_out=1_000_000.0)
    far.one.plan = Plan(usage=False)
    await far.ask(max_tokens=7)
    [use] = far.room.rows(ModelUsageStat)
    assert (use.completion_tokens, use.cost) == (None, 7.0)
    [day] = far.room.rows(ProviderStat)
    assert day.unknown_usage == 1


async def test_models_are_asked_of_who_does_not_declare_them(far: Far) -> None:
    far.one.models = ["x/far", "near"]
    far.declare(one={"url": far.one.url})
    assert who(await far.ask("x/far")) == ("one", "x/far")
    listed = {card["id"]: card["owned_by"] for card in (await far.room.client.get("/v1/models")).json()["data"]}
    assert listed == {"a": "vx11", "b": "vx11", "c": "vx11", "near": "one", "x/far": "one"}
    assert (await far.room.client.get("/v1/models/x/far")).json()["id"] == "x/far"
    far.one.models = ["new"]
    far.clock.advance(6)
    assert who(await far.ask("new")) == ("one", "new")
    assert (await far.ask("near")).status_code == 404


async def test_the_file_is_read_again_when_it_changes(far: Far) -> None:
    assert (await far.ask()).status_code == 404
    far.only_one()
    assert (await far.ask()).status_code == 200
    far.declare()
    assert (await far.ask()).status_code == 404


async def test_nobody_listens(far: Far) -> None:
    far.declare(one={"url": "http://127.0.0.1:9/v1", "models": ["far"]})
    answer = await far.ask()
    assert (answer.status_code, answer.json()["detail"]) == (503, "one cannot be reached.")


async def test_embeddings_go_to_who_offers_them(far: Far) -> None:
    far.only_one(tasks=["embedding"])
    answer = await far.room.client.post("/v1/embeddings", json={"model": "far", "input": "x"})
    assert (answer.status_code, answer.json()["data"][0]["embedding"], who(answer)) == (200, [0.5], ("one", "far"))
    assert far.one.requests[0]["path"] == "/v1/embeddings"
    [use] = await far.room.kept(ModelUsageStat)
    assert (use.outcome, use.prompt_tokens) == ("ok", 10)


async def test_a_deadline_is_the_caller_s_and_blames_nobody(far: Far) -> None:
    far.only_one(total_sec=60)
    far.one.plan = Plan("never")
    headers = {"x-vx11-deadline-ms": "200", **far.room.token(Role.USER)}
    body = {"model": "far", "messages": HI}
    answer = await far.room.client.post("/v1/chat/completions", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (504, "peer_timeout")
    status = (await far.room.client.get("/switch/hermes/status")).json()
    assert [one["failures"] for one in status["engines"] if one["engine"] == "one/far"] == [0]
