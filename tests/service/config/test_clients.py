"""Calls between services: rights, deadlines, errors, retries and the breaker, over transports in the test's hand."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from config import deadline
from config.app import House
from config.auth import Caller, Role
from config.breaker import OPEN_SEC
from config.clients import Peer, Timeout, door, raise_for_problem
from config.errors import BadPeer, BreakerOpen, Conflict, PeerTimeout, Unavailable, VX11Error
from config.logs import correlation_id
from config.problems.outgoing import problem_response
from tests.support.clock import ManualClock
from tests.support.crowd import ROOT
from tests.support.house import house_in
from tests.support.server import served
from tests.unit.config.test_errors import ALL

ANA = Caller("ana", Role.USER, "tok-1")
Handler = Callable[[httpx.Request], httpx.Response]


class Pong(BaseModel):
    n: int


class Line:
    """A peer behind a transport: answers with what `handler` says, and keeps what it was asked."""

    def __init__(self, folder: Path, handler: Handler) -> None:
        self.asked: list[httpx.Request] = []
        self.handler = handler
        self.clock = ManualClock()
        transport = httpx.MockTransport(self._answer)
        self.house: House = house_in(folder, "tentaculo_link", clock=self.clock, transport=transport)
        self.peer: Peer = self.house.clients.peer("madre")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.handler(request)


def pong(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"n": 1})


def refuse(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


def cut(_request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("cut")


def too_slow(_request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("slow")


async def fails_with(error: type[VX11Error], peer: Peer, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(error):
            await peer.post("/x", answer=Pong)


async def test_a_call_carries_caller_correlation_and_deadline(tmp_path: Path) -> None:
    line = Line(tmp_path, pong)
    before = correlation_id.set("c-1")
    assert await line.peer.get("/x", answer=Pong, on_behalf=ANA, params={"limit": 5}) == Pong(n=1)
    correlation_id.reset(before)
    asked = line.asked[0]
    assert str(asked.url) == "http://127.0.0.1:8001/x?limit=5"
    assert asked.headers["x-correlation-id"] == "c-1"
    assert 14_000 <= int(asked.headers["x-vx11-deadline-ms"]) <= 15_000
    seen = await line.house.auth.identify(asked.headers["x-vx11-token"])
    assert seen == Caller("ana", Role.USER, "tok-1", service="tentaculo_link")


async def test_without_a_caller_the_service_speaks_for_itself(tmp_path: Path) -> None:
    line = Line(tmp_path, pong)
    await line.peer.post("/x", Pong(n=5), answer=Pong)
    seen = await line.house.auth.identify(line.asked[0].headers["x-vx11-token"])
    assert (seen.user, seen.role) == ("service:tentaculo_link", Role.SYSTEM)
    assert line.asked[0].content == b'{"n":5}'


async def test_the_callers_deadline_travels_on(tmp_path: Path) -> None:
    line = Line(tmp_path, pong)
    with deadline.arrived(b"1500"):
        await line.peer.get("/x", answer=Pong)
    assert 0 < int(line.asked[0].headers["x-vx11-deadline-ms"]) <= 1500


async def test_a_deadline_that_is_over_asks_nobody(tmp_path: Path) -> None:
    line = Line(tmp_path, pong)
    with deadline.arrived(b"0"), pytest.raises(PeerTimeout):
        await line.peer.get("/x", answer=Pong)
    assert line.asked == []


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
async def test_every_error_comes_back_as_it_was_raised(tmp_path: Path, cls: type[VX11Error]) -> None:
    sent = cls("What happened.", hint="h", retry_after_sec=3, errors=[{"field": "a", "message": "b"}], extra={"n": 1})

    def fail(_request: httpx.Request) -> httpx.Response:
        answer = problem_response(sent)
        return httpx.Response(answer.status_code, headers=dict(answer.headers), content=bytes(answer.body))

    line = Line(tmp_path, fail)
    with pytest.raises(VX11Error) as caught:
        await line.peer.get("/x", answer=Pong)
    assert type(caught.value) is cls
    assert vars(caught.value) == vars(sent)
    assert len(line.asked) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"n": "many"}', b"<html>", b"\xff"])
async def test_an_answer_other_than_agreed_is_a_bad_peer(tmp_path: Path, content: bytes) -> None:
    line = Line(tmp_path, lambda _: httpx.Response(200, content=content))
    with pytest.raises(BadPeer, match="madre answered GET /x"):
        await line.peer.get("/x", answer=Pong)


async def test_what_a_stranger_wrote_is_not_repeated(tmp_path: Path) -> None:
    line = Line(tmp_path, lambda _: httpx.Response(500, text="Traceback: /home/me/secret.py"))
    with pytest.raises(BadPeer) as caught:
        await line.peer.get("/x", answer=Pong)
    assert "secret" not in caught.value.detail


async def test_a_get_is_tried_again_when_the_connection_fails(tmp_path: Path) -> None:
    answers: list[Handler] = [refuse, refuse, pong]
    line = Line(tmp_path, pong)
    line.handler = lambda request: answers.pop(0)(request)  # noqa: PLW0108  # a new one each time
    assert await line.peer.get("/x", answer=Pong) == Pong(n=1)
    assert len(line.asked) == 3


async def test_a_get_is_given_up_after_three_tries(tmp_path: Path) -> None:
    line = Line(tmp_path, cut)
    with pytest.raises(Unavailable, match="madre cannot be reached") as caught:
        await line.peer.get("/x", answer=Pong)
    assert caught.value.retry_after_sec == 1
    assert len(line.asked) == 3


async def test_a_post_is_never_sent_twice(tmp_path: Path) -> None:
    line = Line(tmp_path, cut)
    await fails_with(Unavailable, line.peer)
    assert len(line.asked) == 1


async def test_a_post_waits_for_a_peer_that_restarts(tmp_path: Path) -> None:
    """Nothing was sent where no connection came about."""
    answers = iter([refuse, refuse, pong])
    line = Line(tmp_path, lambda request: next(answers)(request))  # noqa: PLW0108  # a new one each time
    assert await line.peer.post("/x", answer=Pong) == Pong(n=1)


async def test_a_dead_peer_is_said_and_back_the_moment_it_is_there(tmp_path: Path) -> None:
    line = Line(tmp_path, refuse)
    await fails_with(Unavailable, line.peer, times=1)
    line.handler = pong
    assert await line.peer.post("/x", answer=Pong) == Pong(n=1)


async def test_a_slow_peer_is_not_asked_again(tmp_path: Path) -> None:
    line = Line(tmp_path, too_slow)
    with pytest.raises(PeerTimeout, match="within 2 s"):
        await line.peer.get("/x", answer=Pong, timeout=Timeout.QUICK)
    assert len(line.asked) == 1


async def test_a_timeout_is_for_the_whole_answer(tmp_path: Path) -> None:
    """A peer that keeps sending a little never trips a timeout of single reads."""

    async def drip(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(0.01)

    house = house_in(tmp_path, "tentaculo_link", transport=httpx.ASGITransport(drip))
    with deadline.arrived(b"100"), pytest.raises(PeerTimeout):
        await house.clients.peer("madre").get("/x", answer=Pong)


@pytest.mark.parametrize(("handler", "error"), [(cut, Unavailable), (too_slow, PeerTimeout)])
async def test_three_failures_open_the_breaker(tmp_path: Path, handler: Handler, error: type[VX11Error]) -> None:
    line = Line(tmp_path, handler)
    await fails_with(error, line.peer, times=3)
    with pytest.raises(BreakerOpen, match="madre failed several times") as caught:
        await line.peer.get("/x", answer=Pong)
    assert caught.value.retry_after_sec == OPEN_SEC
    assert len(line.asked) == 3


async def test_after_the_pause_exactly_one_call_tries(tmp_path: Path) -> None:
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_scope: Scope, _receive: Receive, send: Send) -> None:
        held.set()
        await go_on.wait()
        await JSONResponse({"n": 1})(_scope, _receive, send)

    class Switching(httpx.AsyncBaseTransport):
        """Cuts at first, holds later."""

        cuts = True
        asked = 0
        later = httpx.ASGITransport(hold)

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.asked += 1
            if self.cuts:
                raise httpx.ReadError("cut")
            return await self.later.handle_async_request(request)

    transport, clock = Switching(), ManualClock()
    peer = house_in(tmp_path, "tentaculo_link", clock=clock, transport=transport).clients.peer("madre")
    await fails_with(Unavailable, peer, times=3)
    transport.cuts = False
    clock.advance(OPEN_SEC)
    trying = asyncio.create_task(peer.post("/x", answer=Pong))
    await held.wait()
    await fails_with(BreakerOpen, peer, times=3)
    assert transport.asked == 4
    go_on.set()
    assert await trying == Pong(n=1)
    assert await peer.post("/x", answer=Pong) == Pong(n=1)


async def test_a_try_that_is_cancelled_does_not_close_the_way_for_ever(tmp_path: Path) -> None:
    held = asyncio.Event()

    async def hang(_scope: Scope, _receive: Receive, _send: Send) -> None:
        held.set()
        await asyncio.Event().wait()

    clock = ManualClock()
    house = house_in(tmp_path, "tentaculo_link", clock=clock, transport=httpx.ASGITransport(hang))
    peer = house.clients.peer("madre")
    for _ in range(3):
        peer._breaker.failed(clock.monotonic())
    clock.advance(OPEN_SEC)
    trying = asyncio.create_task(peer.post("/x", answer=Pong))
    await held.wait()
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    with deadline.arrived(b"50"), pytest.raises(PeerTimeout):
        await peer.post("/x", answer=Pong)


async def test_callers_in_a_hurry_do_not_open_the_breaker_for_others(tmp_path: Path) -> None:
    line = Line(tmp_path, too_slow)
    with deadline.arrived(b"100"):
        await fails_with(PeerTimeout, line.peer, times=5)
    line.handler = pong
    assert await line.peer.post("/x", answer=Pong) == Pong(n=1)


async def test_an_error_the_peer_told_is_no_failure_of_the_peer(tmp_path: Path) -> None:
    answer = problem_response(Conflict("x"))
    line = Line(tmp_path, lambda _: httpx.Response(409, content=bytes(answer.body)))
    await fails_with(Conflict, line.peer, times=5)
    assert len(line.asked) == 5


async def test_each_peer_has_a_breaker_of_its_own(tmp_path: Path) -> None:
    line = Line(tmp_path, cut)
    await fails_with(Unavailable, line.peer, times=3)
    line.handler = pong
    assert await line.house.clients.peer("switch").get("/x", answer=Pong) == Pong(n=1)
    assert line.house.clients.peer("madre") is line.peer


async def test_looking_whether_somebody_is_there_never_counts(tmp_path: Path) -> None:
    line = Line(tmp_path, refuse)
    assert [await line.peer.vital("/ready", answer=Pong) for _ in range(5)] == [None] * 5
    line.handler = lambda _: httpx.Response(503, json={"n": 1})
    assert await line.peer.vital("/ready", answer=Pong) is None
    line.handler = pong
    assert await line.peer.vital("/ready", answer=Pong) == Pong(n=1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_nobody_at_the_port_is_unavailable(tmp_path: Path) -> None:
    house = house_in(tmp_path, "tentaculo_link", port_offset=free_port() - 8001)
    with pytest.raises(Unavailable):
        await house.clients.peer("madre").get("/x", answer=Pong)
    await house.clients.close()


@pytest.fixture
async def real_madre() -> AsyncIterator[int]:
    """A real server that answers every path; its port."""
    app = Starlette(routes=[Mount("/", JSONResponse({"n": 1}))])
    async with served(app) as url:
        yield int(url.rsplit(":", 1)[1])


PROXIED = """
import asyncio, sys
from pathlib import Path
from pydantic import BaseModel
from config.app import build_house
from config.settings import Settings
class Pong(BaseModel):
    n: int
async def main():
    house = build_house("tentaculo_link", Settings(data_path=Path(sys.argv[1]), port_offset=int(sys.argv[2]) - 8001))
    print(await house.clients.peer("madre").get("/x", answer=Pong))
asyncio.run(main())
"""


async def test_a_proxy_in_the_environment_is_not_between_peers(tmp_path: Path, real_madre: int) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "http_proxy": "http://127.0.0.1:9",
        "all_proxy": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-c", PROXIED, str(tmp_path), str(real_madre)]
    ended = await asyncio.to_thread(
        subprocess.run, command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.stdout == "n=1\n", ended.stderr


async def test_the_command_line_reads_the_same_errors(tmp_path: Path) -> None:
    app = Starlette(routes=[Mount("/", problem_response(Conflict("Two at once.", hint="Wait.")))])
    async with served(app) as url:

        def ask() -> None:
            with door(url, "vx11_token") as client:
                raise_for_problem(client.get("/x"))

        with pytest.raises(Conflict, match="Two at once") as caught:
            await asyncio.to_thread(ask)
        assert caught.value.hint == "Wait."


async def test_the_byte_pipe_passes_bytes_unread(real_madre: int, tmp_path: Path) -> None:
    house = house_in(tmp_path, "tentaculo_link")
    async with house.clients.streams().get(f"http://127.0.0.1:{real_madre}/x") as answer:
        assert await answer.read() == b'{"n":1}'
    await house.clients.close()
