"""WebSockets through the door, both ways, with the close code kept. Paths under /ws belong to the
operator, so the service behind listens on its port here, and the room counts as present."""

from __future__ import annotations

import aiohttp
import pytest

from tests.service.tentaculo_link.conftest import World
from tests.support.house import ADMIN_HEADERS


async def test_text_flows_both_ways_and_the_close_code_comes_back(world: World) -> None:
    async with (
        aiohttp.ClientSession(headers=ADMIN_HEADERS) as session,
        session.ws_connect(f"{world.url}/switch/ws/room", protocols=["vx11"]) as socket,
    ):
        assert socket.protocol == "vx11"
        await socket.send_str("hola")
        assert await socket.receive_str() == "room:hola"
        await socket.send_str("bye")
        message = await socket.receive()
        assert (message.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 4001)


async def test_a_ticket_stands_for_the_caller(world: World) -> None:
    ticket = (await world.client.post("/vx11/events/ticket")).json()["ticket"]
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{world.url}/switch/ws/room?ticket={ticket}") as socket:
            await socket.send_str("x")
            assert await socket.receive_str() == "room:x"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{world.url}/switch/ws/room?ticket={ticket}")
        assert refused.value.status == 403


async def test_no_token_is_refused_before_the_handshake(world: World) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{world.url}/switch/ws/room")
        assert refused.value.status == 401
        with pytest.raises(aiohttp.WSServerHandshakeError) as absent:
            await session.ws_connect(f"{world.url}/ws/room", headers=ADMIN_HEADERS)
        assert absent.value.status == 404
