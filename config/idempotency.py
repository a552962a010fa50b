"""`Idempotency-Key` on POSTs that start something: the same key gives the same answer for 24 hours.

Shape after the IETF draft "The Idempotency-Key HTTP Header Field": the same key with another body is 422,
the same key while the first is still at work is 409. A key belongs to a caller and a path. Failures of
ours (5xx) are not kept, so that a retry can succeed. Nor are credentials: what was shown once is `[redacted]` in the
answer that comes again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from fastapi import Request
from pydantic import BaseModel
from sqlalchemy import delete
from sqlalchemy.orm import Session
from starlette.responses import Response

from config.auth import Caller
from config.clock import Clock
from config.db import Database
from config.db_schema.kernel import IdempotencyKey
from config.errors import Conflict, Invalid
from config.logs import redacted

KEPT_FOR = timedelta(hours=24)
_MAX_KEY = 255
_ABANDONED_AFTER = timedelta(minutes=5)  # a first request that never wrote its answer died with its process


class Idempotency:
    """Gives the stored answer of a keyed request, or makes and stores it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    async def once(
        self, request: Request, caller: Caller, status: int, act: Callable[[], Awaitable[BaseModel]]
    ) -> Response:
        """The answer of `act` as JSON with `status`; with a key, `act` runs once in 24 hours.

        Errors of `act` pass through and free the key.
        """
        key = request.headers.get("idempotency-key")
        if not key:
            return _json((await act()).model_dump_json(), status)
        if len(key) > _MAX_KEY:
            raise Invalid(f"Idempotency-Key is longer than {_MAX_KEY} characters.")
        digest = hashlib.sha256(f"{caller.user}\n{request.method} {request.url.path}\n{key}".encode()).hexdigest()
        body = hashlib.sha256(f"{request.url.query}\n".encode() + await request.body()).hexdigest()
        stored = await self._db.writing(claimed, digest, body, self._clock.now())
        if stored is not None:
            return _json(stored.answer or "", stored.status or status)
        try:
            answer = (await act()).model_dump_json()
        except BaseException:
            await self._db.writing(_free, digest)
            raise
        await self._db.writing(_keep, digest, status, redacted(answer))
        return _json(answer, status)


def _json(body: str, status: int) -> Response:
    return Response(body, status, media_type="application/json")


def claimed(session: Session, digest: str, body: str, now: datetime) -> IdempotencyKey | None:
    """The finished row of this key, or None once the key is claimed for whoever asks; Conflict while another has it."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEPT_FOR))
    row = session.get(IdempotencyKey, digest)
    if row is not None and row.body_sha256 != body:
        raise Invalid("This Idempotency-Key was used with another body.", hint="Use a new key for a new request.")
    if row is not None and row.answer is not None:
        return row
    if row is not None and now - row.created_at < _ABANDONED_AFTER:
        raise Conflict("The first request with this Idempotency-Key is still at work.", retry_after_sec=1)
    if row is not None:
        session.delete(row)
        session.flush()
    session.add(
        IdempotencyKey(key_sha256=digest, body_sha256=body, status=None, answer=None, media_type=None, created_at=now)
    )
    return None


def _keep(session: Session, digest: str, status: int, answer: str) -> None:
    row = session.get(IdempotencyKey, digest)
    if row is not None:
        row.status, row.answer, row.media_type = status, answer, "application/json"


def _free(session: Session, digest: str) -> None:
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.key_sha256 == digest))
