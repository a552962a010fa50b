"""All SQL of the door: the rows of `api_tokens`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.db_schema.kernel import ApiToken, User


def add_token(session: Session, row: ApiToken) -> None:
    """Keep a new token, and its user if the house meets them for the first time."""
    if session.get(User, row.user) is None:
        session.add(User(user=row.user, role=row.role, created_at=row.created_at))
    session.add(row)


def token(session: Session, token_id: str) -> ApiToken | None:
    """The token with this id."""
    return session.get(ApiToken, token_id)


def tokens_before(session: Session, before: tuple[datetime, str] | None, limit: int) -> list[ApiToken]:
    """At most `limit` tokens, newest first, that come after the position `before` = (created_at, token_id)."""
    query = select(ApiToken).order_by(ApiToken.created_at.desc(), ApiToken.token_id.desc()).limit(limit)
    if before is not None:
        moment, token_id = before
        same_moment = (ApiToken.created_at == moment) & (ApiToken.token_id < token_id)
        query = query.where((ApiToken.created_at < moment) | same_moment)
    return list(session.scalars(query))
