"""The WebSocket of a conversation: what is said to it and what it tells (CONTRACT, sections 5 and 10)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from config.contracts.base import Answer, Request, Timestamp

Heard = Literal["message", "confirm", "cancel"]
Told = Literal[
    "message_received",
    "tool_call_requested",
    "tool_result_received",
    "plan_updated",
    "status_changed",
    "error_reported",
]


class SocketEvent(Request):
    """What comes in. `data` is for `message` a chat message without its session, for `confirm` a `plan_id` and its
    `confirm_token`, for `cancel` a `plan_id`."""

    event_type: Heard
    data: dict[str, Any] = Field(default_factory=dict)


class SocketMessage(Answer):
    """What goes out. `event_id` is that of the event it tells of: a later connection goes on with `?after=` it."""

    type: Told
    session_id: str
    timestamp: Timestamp
    data: dict[str, Any]
    event_id: int | None = None
