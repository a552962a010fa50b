"""WebSockets through the door, both ways, with the close code kept. Paths under /ws belong to the
operator, so the service behind listens on its port here, and the room counts as present."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from config.settings import GatewaySettings
from tests.service.tentaculo_link.conftest import World, world_in
from tests.support.eventually import eventually
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


async def test_a_socket_ends_with_its_token_however_it_was_opened(world: World) -> None:
    for by_ticket in (False, True):
        made = (await world.client.post("/auth/tokens", json={"user": "ana", "role": "operator"})).json()
        own = {"x-vx11-token": made["token"]}
        query, headers = "", own
        if by_ticket:
            query = f"?ticket={(await world.client.post('/vx11/events/ticket', headers=own)).json()['ticket']}"
            headers = {}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.ws_connect(f"{world.url}/switch/ws/room{query}") as socket,
        ):
            await socket.send_str("hola")
            assert await socket.receive_str() == "room:hola"
            assert (await world.client.delete(f"/auth/tokens/{made['token_id']}")).is_success
            message = await socket.receive(timeout=20)
            assert (message.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 1008)


async def test_a_user_has_so_many_sockets_and_a_closed_one_makes_room(tmp_path: Path) -> None:
    gateway = GatewaySettings(sockets_per_user=2)
    async with world_in(tmp_path, gateway=gateway) as world, aiohttp.ClientSession(headers=ADMIN_HEADERS) as session:
        address = f"{world.url}/switch/ws/room"
        async with session.ws_connect(address), session.ws_connect(address) as second:
            for _ in range(2):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await session.ws_connect(address)
                assert refused.value.status == 429
            made = (await world.client.post("/auth/tokens", json={"user": "ana"})).json()
            async with session.ws_connect(address, headers={"x-vx11-token": made["token"]}) as another_users:
                await another_users.send_str("x")
                assert await another_users.receive_str() == "room:x"
            await second.close()

            async def third() -> bool:
                try:
                    async with session.ws_connect(address) as socket:
                        await socket.send_str("x")
                        return await socket.receive_str() == "room:x"
                except aiohttp.WSServerHandshakeError:
                    return False

            assert await eventually(third, bool)


async def test_a_handshake_counts_as_a_request(tmp_path: Path) -> None:
    gateway = GatewaySettings(rate_per_sec=0.001, rate_burst=2)
    async with world_in(tmp_path, gateway=gateway) as world, aiohttp.ClientSession(headers=ADMIN_HEADERS) as session:
        statuses = []
        for _ in range(3):
            try:
                async with session.ws_connect(f"{world.url}/switch/ws/room"):
                    statuses.append(101)
            except aiohttp.WSServerHandshakeError as refused:
                statuses.append(refused.status)
        assert statuses == [101, 101, 429]
