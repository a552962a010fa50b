"""`Idempotency-Key` on POSTs that start something: the same key gives the same answer for 24 hours.

Shape after the IETF draft "The Idempotency-Key HTTP Header Field": the same key with another body is 422,
the same key while the first is still at work is 409 `still_at_work`. A key belongs to a caller and a path. Failures of
ours (5xx) are not kept, so that a retry can succeed. Nor are credentials: what was shown once is `[redacted]` in the
answer that comes again.

Whoever sent a request and died before its answer may want to end what it began, and must not begin it by asking. With
`X-VX11-If-Begun: 1` a keyed request begins nothing: it gets the answer of the one before it, or 404; then the key is
given up, and a request that is late, or still at work, begins nothing with it either (409).

Whoever claimed a key says so anew while it is at work, however long that takes; a claim that nobody has renewed for
half a minute died with its process, and the key is free. That is all a death needs: a service that starts drops no
claims, because a row does not tell whose it is, and those of a life that still ends, or of its replicas, are alive.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fastapi import Request
from pydantic import BaseModel
from sqlalchemy import delete
from sqlalchemy.orm import Session
from starlette.responses import Response

from config.auth import Caller
from config.clients import IF_BEGUN
from config.clock import Clock
from config.db import Database
from config.db_schema.kernel import IdempotencyKey
from config.errors import Conflict, Invalid, NotFound, StillAtWork, VX11Error
from config.logs import redacted

KEPT_FOR = timedelta(hours=24)
Keep = Callable[[Session, BaseModel], None]
_MAX_KEY = 255
_RENEWED_EVERY_SEC = 5.0
_ABANDONED_AFTER = timedelta(seconds=30)  # a claim that missed so many renewals died with its process
_GIVEN_UP = 410  # of a key that nothing was begun with, and nothing will be
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Claim:
    """The right to do what a key stands for. It is lost to whoever takes the key over, or gives it up.

    It is known by the moment of its row, which is that of its last renewal: one of `moments`.
    """

    digest: str
    status: int
    moments: set[datetime] = field(default_factory=set)

    def make(self, session: Session, body: str, clock: Clock) -> IdempotencyKey | None:
        """The finished row of the key, or None once it is claimed; Conflict where that cannot be."""
        return claimed(session, self.digest, body, self._moment(clock))

    def renew(self, session: Session, clock: Clock) -> None:
        """The request is still at work."""
        row = self._row(session)
        if row is not None:
            row.created_at = self._moment(clock)

    def keep(self, session: Session, answer: BaseModel) -> None:
        """Keep the answer; Conflict where the claim was lost, so that the unit of work which makes the effect fails."""
        if not self.keep_late(session, answer):
            raise Conflict("This Idempotency-Key was given up before its request had done anything.")

    def keep_late(self, session: Session, answer: BaseModel) -> bool:
        """Keep the answer of an effect that is made already; whether the claim was not lost, nor the answer kept."""
        row = self._row(session)
        if row is None:
            return False
        row.status, row.answer, row.media_type = self.status, redacted(answer.model_dump_json()), "application/json"
        return True

    def free(self, session: Session) -> None:
        """Let the key be claimed again, unless an answer was kept."""
        row = self._row(session)
        if row is not None:
            session.delete(row)

    def _moment(self, clock: Clock) -> datetime:
        """Now, when it is written: a unit of work may have waited for its turn."""
        now = clock.now()
        self.moments.add(now)
        return now

    def _row(self, session: Session) -> IdempotencyKey | None:
        """The key's row as long as it is unanswered, and this claim's."""
        row = session.get(IdempotencyKey, self.digest)
        return row if row is not None and row.answer is None and row.created_at in self.moments else None


class Idempotency:
    """Gives the stored answer of a keyed request, or makes and stores it; claims are renewed every so many seconds."""

    def __init__(self, database: Database, clock: Clock, *, renewed_every_sec: float = _RENEWED_EVERY_SEC) -> None:
        self._db = database
        self._clock = clock
        self._renewed_every_sec = renewed_every_sec

    async def once(
        self, request: Request, caller: Caller, status: int, act: Callable[[], Awaitable[BaseModel]]
    ) -> Response:
        """The answer of `act` as JSON with `status`; with a key, `act` runs once in 24 hours.

        Errors of `act` pass through and free the key. A process that is killed between the effect and the keeping of
        its answer leaves a key that is free again after half a minute.
        """
        return await self._once(request, caller, status, lambda _keep: act(), is_atomic=False)

    async def once_within(
        self, request: Request, caller: Caller, status: int, act: Callable[[Keep], Awaitable[BaseModel]]
    ) -> Response:
        """As `once`, for an effect that is rows of this database: `act` hands its answer to what it is given, in the
        very unit of work that makes them. Then neither is there without the other, whatever is killed.
        """
        return await self._once(request, caller, status, act, is_atomic=True)

    async def _once(
        self,
        request: Request,
        caller: Caller,
        status: int,
        act: Callable[[Keep], Awaitable[BaseModel]],
        *,
        is_atomic: bool,
    ) -> Response:
        key, if_begun = request.headers.get("idempotency-key"), IF_BEGUN in request.headers
        if not key:
            if if_begun:
                raise Invalid(f"{IF_BEGUN} asks about an Idempotency-Key, and there is none.")
            return _json((await act(_keep_nothing)).model_dump_json(), status)
        if len(key) > _MAX_KEY:
            raise Invalid(f"Idempotency-Key is longer than {_MAX_KEY} characters.")
        digest = hashlib.sha256(f"{caller.user}\n{request.method} {request.url.path}\n{key}".encode()).hexdigest()
        body = hashlib.sha256(f"{request.url.query}\n".encode() + await request.body()).hexdigest()
        if if_begun:
            return await self._begun(digest, body, status, is_atomic=is_atomic)
        claim = _Claim(digest, status)
        stored = await self._db.writing(claim.make, body, self._clock)
        if stored is not None:
            return _json(stored.answer or "", stored.status or status)
        return await self._act(claim, act)

    async def _act(self, claim: _Claim, act: Callable[[Keep], Awaitable[BaseModel]]) -> Response:
        renewing = asyncio.create_task(self._renewing(claim))
        try:
            answer = await self._made(claim, act)
            await self._db.writing(claim.keep_late, answer)
        finally:
            renewing.cancel()
        return _json(answer.model_dump_json(), claim.status)

    async def _made(self, claim: _Claim, act: Callable[[Keep], Awaitable[BaseModel]]) -> BaseModel:
        try:
            return await act(claim.keep)
        except BaseException:
            await self._db.writing(claim.free)
            raise

    async def _renewing(self, claim: _Claim) -> None:
        while True:
            await asyncio.sleep(self._renewed_every_sec)
            try:
                await self._db.writing(claim.renew, self._clock)
            except VX11Error as error:  # a busy database: the next one is in time
                _log.warning("the claim of an Idempotency-Key was not renewed: %s", error.detail)

    async def _begun(self, digest: str, body: str, status: int, *, is_atomic: bool) -> Response:
        row = await self._db.writing(given_up, digest, body, self._clock.now(), is_atomic=is_atomic)
        if row is None:
            raise NotFound("Nothing was begun with this Idempotency-Key.")
        return _json(row.answer or "", row.status or status)


def _json(body: str, status: int) -> Response:
    return Response(body, status, media_type="application/json")


def claimed(session: Session, digest: str, body: str, now: datetime) -> IdempotencyKey | None:
    """The finished row of this key, or None once the key is claimed for whoever asks; StillAtWork while another has
    it, Conflict for a key that was given up."""
    row = _row(session, digest, body, now)
    if row is not None and row.answer is not None:
        if row.status == _GIVEN_UP:
            raise Conflict("This Idempotency-Key was given up.", hint="Use a new key for a new request.")
        return row
    _must_be_abandoned(row, now)
    _put(session, digest, body, now, row)
    return None


def given_up(session: Session, digest: str, body: str, now: datetime, *, is_atomic: bool) -> IdempotencyKey | None:
    """The finished row of this key, or None once it is sure that nothing was begun with it, nor will be.

    A first request that is at work loses its claim where its effect is made with its answer (`is_atomic`); any other
    may have made it already, so it is waited for: StillAtWork.
    """
    row = _row(session, digest, body, now)
    if row is not None and row.answer is not None:
        return None if row.status == _GIVEN_UP else row
    if not is_atomic:
        _must_be_abandoned(row, now)
    _put(session, digest, body, now, row, status=_GIVEN_UP, answer="")
    return None


def _row(session: Session, digest: str, body: str, now: datetime) -> IdempotencyKey | None:
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEPT_FOR))
    row = session.get(IdempotencyKey, digest)
    if row is not None and row.body_sha256 != body:
        raise Invalid("This Idempotency-Key was used with another body.", hint="Use a new key for a new request.")
    return row


def _must_be_abandoned(row: IdempotencyKey | None, now: datetime) -> None:
    if row is not None and now - row.created_at < _ABANDONED_AFTER:
        raise StillAtWork("The first request with this Idempotency-Key is still at work.", retry_after_sec=1)


def _put(
    session: Session,
    digest: str,
    body: str,
    now: datetime,
    instead_of: IdempotencyKey | None,
    *,
    status: int | None = None,
    answer: str | None = None,
) -> None:
    if instead_of is not None:
        session.delete(instead_of)
        session.flush()
    session.add(
        IdempotencyKey(
            key_sha256=digest, body_sha256=body, status=status, answer=answer, media_type=None, created_at=now
        )
    )


def _keep_nothing(_session: Session, _answer: BaseModel) -> None:
    """For requests without a key."""
