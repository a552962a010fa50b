"""What the door passes on: bytes, streams, errors, and the news that a client has gone."""

from __future__ import annotations

import asyncio

import httpx

from config.auth import Caller, Role
from tests.service.tentaculo_link.conftest import World
from tests.support.house import ADMIN


async def test_a_request_arrives_as_it_was_but_with_a_service_token(world: World) -> None:
    answer = await world.client.post(
        "/switch/echo?a=1&b=%2F", content=b"x" * 1000, headers={"x-correlation-id": "corr-1", "x-mine": "kept"}
    )
    seen = answer.json()
    assert (answer.status_code, seen["length"], seen["query"]) == (200, 1000, "a=1&b=%2F")
    assert seen["headers"]["x-mine"] == "kept"
    assert seen["headers"]["x-correlation-id"] == answer.headers["x-correlation-id"] == "corr-1"
    assert ADMIN not in str(seen["headers"])
    caller = await world.house.auth.identify(seen["headers"]["x-vx11-token"])
    assert caller == Caller("admin", Role.ADMIN, "admin", service="tentaculo_link")


async def test_a_long_body_streams_through(world: World) -> None:
    answer = await world.client.post("/switch/echo", content=b"y" * 3_000_000)
    assert answer.json()["length"] == 3_000_000


async def test_status_and_headers_come_back_without_those_of_the_hop(world: World) -> None:
    answer = await world.client.get("/switch/status/418")
    assert (answer.status_code, answer.content, answer.headers["x-from"]) == (418, b"said so", "switch")
    assert "connection" not in answer.headers


async def test_a_sleeping_service_is_woken_once_for_many(world: World) -> None:
    answers = await asyncio.gather(*(world.client.get("/switch/status/200") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert world.wakes == ["switch"]


async def test_a_service_that_vanished_is_woken_again(world: World) -> None:
    await world.client.get("/switch/status/200")
    await world.stop_upstream.aclose()
    answer = await world.client.get("/switch/status/200")
    assert world.wakes == ["switch", "switch"]
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]


async def test_a_stream_flows_piece_by_piece_and_its_end_frees_the_service(world: World) -> None:
    async with world.client.stream("GET", "/switch/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert await anext(answer.aiter_lines()) == "data: 0"
    await asyncio.wait_for(world.stream_cancelled.wait(), 5)


async def test_a_client_that_leaves_before_the_first_byte_frees_the_service(world: World) -> None:
    asking = asyncio.create_task(world.client.get("/switch/silent"))
    while not world.wakes:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    asking.cancel()
    await asyncio.wait_for(world.stream_cancelled.wait(), 5)


async def test_a_break_in_an_event_stream_is_told_in_the_stream(world: World) -> None:
    answer = await world.client.get("/switch/breaks", params={"kind": "text/event-stream"})
    assert answer.text.startswith("data: 1\n\n")
    assert '"code": "bad_peer"' in answer.text


async def test_a_break_in_any_other_answer_cuts_the_connection(world: World) -> None:
    try:
        await world.client.get("/switch/breaks", params={"kind": "text/plain"})
    except httpx.RemoteProtocolError:
        return
    raise AssertionError("a truncated answer looked whole")


async def test_absent_services_and_unknown_paths_say_so(world: World) -> None:
    absent = await world.client.get("/shub/ready")
    assert (absent.status_code, absent.json()["code"]) == (404, "service_absent")
    unknown = await world.client.get("/nothing/here")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


async def test_no_token_wrong_token(world: World) -> None:
    missing = await world.client.get("/switch/status/200", headers={"x-vx11-token": ""})
    assert (missing.status_code, missing.json()["code"]) == (401, "auth_required")
    wrong = await world.client.get("/switch/status/200", headers={"x-vx11-token": "vx11_nope"})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "forbidden")
    assert world.wakes == []


async def test_openai_paths_get_openai_errors(world: World) -> None:
    answer = await world.client.get("/v1/models", headers={"x-vx11-token": "vx11_nope"})
    assert answer.json()["error"]["code"] == "forbidden"


async def test_a_body_over_the_limit_is_refused(world: World) -> None:
    answer = await world.client.post("/switch/echo", content=b"z" * (50 * 2**20))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
