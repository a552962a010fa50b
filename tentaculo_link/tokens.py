"""What a token is when it is made, rotated and shown. Pure; told the time."""

from __future__ import annotations

from datetime import datetime, timedelta

from config.auth import sha256_of
from config.contracts.tokens import NewToken, Token, TokenCreate
from config.db_schema import ApiToken, new_id
from config.errors import Conflict


def minted(wish: TokenCreate, secret: str, now: datetime) -> ApiToken:
    """The row of a new token; `secret` itself is not in it."""
    life = None if wish.expires_in_sec is None else timedelta(seconds=wish.expires_in_sec)
    return ApiToken(
        token_id=new_id("tok"),
        token_sha256=sha256_of(secret),
        name=wish.name,
        user=wish.user,
        role=wish.role,
        created_at=now,
        expires_at=None if life is None else now + life,
        revoked_at=None,
        replaced_by=None,
    )


def rotated(old: ApiToken, secret: str, now: datetime) -> ApiToken:
    """The successor of `old`, with the same holder and the same length of life; `old` ends now."""
    if old.revoked_at is not None:
        raise Conflict("This token was revoked; a revoked token cannot be rotated.", hint="Make a new one.")
    life = None if old.expires_at is None else int((old.expires_at - old.created_at).total_seconds())
    wish = TokenCreate.model_validate({"user": old.user, "role": old.role, "name": old.name, "expires_in_sec": life})
    successor = minted(wish, secret, now)
    old.revoked_at, old.replaced_by = now, successor.token_id
    return successor


def shown(row: ApiToken) -> Token:
    """The row as it is listed."""
    return Token.model_validate({name: getattr(row, name) for name in Token.model_fields})


def shown_once(row: ApiToken, secret: str) -> NewToken:
    """The one answer that holds the secret."""
    return NewToken(**shown(row).model_dump(), token=secret)
