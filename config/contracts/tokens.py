"""API tokens on the wire (CONTRACT, section 3)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.contracts.base import Answer, Request, Timestamp

TokenRole = Literal["user", "operator", "admin"]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[\w.@+-][\w .@+-]*$")]


class TokenCreate(Request):
    """Ask for a token; without `expires_in_sec` it lives until it is revoked."""

    user: Name
    role: TokenRole = "user"
    name: Annotated[str, Field(max_length=128)] = ""
    expires_in_sec: Annotated[int, Field(ge=60, le=10 * 365 * 86_400)] | None = None


class Token(Answer):
    """A token as it is listed: everything but the secret."""

    token_id: str
    user: str
    role: TokenRole
    name: str
    created_at: Timestamp
    expires_at: Timestamp | None
    revoked_at: Timestamp | None


class NewToken(Token):
    """The one answer that holds the secret."""

    token: str
