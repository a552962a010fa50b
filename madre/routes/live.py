"""The WebSocket of a conversation (CONTRACT, section 5)."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

live = APIRouter(prefix="/madre", tags=["plans"])


@live.websocket("/ws/{session_id}")
async def follow(socket: WebSocket, session_id: str) -> None:
    await socket.app.state.live.serve(socket, session_id)
