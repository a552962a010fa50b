"""Completions: an OpenAI request, answered byte for byte by who was chosen for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

from config.app import House
from config.auth import Caller
from config.db_schema import ModelUsageStat, RoutingEvent
from config.errors import ModelFailed, VX11Error
from config.logs import correlation_id
from config.problems.outgoing import problem_event
from config.streaming import CutOff, Head
from switch import store
from switch.account import Account
from switch.adapters.worker import WorkerLost
from switch.choose import ModelFile, asked
from switch.flows.registry import Registry
from switch.pool import Pool

_log = logging.getLogger(__name__)


class Completions:
    """Answers prompts."""

    def __init__(self, house: House, pool: Pool, registry: Registry) -> None:
        self._house = house
        self._pool = pool
        self._registry = registry

    async def complete(self, path: str, body: bytes, caller: Caller) -> AsyncGenerator[Head | bytes, None]:
        """The worker's answer to an OpenAI request, byte for byte: its head, then pieces.

        Waits for the model to be loaded. Raises, before the head, what is wrong with the request or the
        model; afterwards an error is told in the stream. Leaves a row of choice and cost in any case.
        """
        file = await self._registry.named(asked(body))
        account = Account(self._now())
        try:
            with self._house.work.doing("completion"):
                async with self._pool.use(file) as worker, contextlib.aclosing(worker.ask(path, body)) as items:
                    async for item in items:
                        self._note(item, account)
                        yield item
        except WorkerLost as error:
            account.broke = "worker_died"
            yield self._last_words(file, account, error)
        except VX11Error as error:
            account.broke = error.code
            raise
        finally:
            # Whoever hangs up at the last byte has had the answer: its row is kept all the same.
            await asyncio.shield(self._keep(file, caller, account))

    def _note(self, item: Head | bytes, account: Account) -> None:
        if isinstance(item, Head):
            account.begins(item.status, dict(item.headers).get(b"content-type", b""))
        else:
            account.piece(item, self._now())

    def _last_words(self, file: ModelFile, account: Account, cause: WorkerLost) -> bytes:
        """What ends a stream whose worker died; an answer not begun becomes an error, any other is cut off."""
        failure = ModelFailed(f"The worker of {file.name} died in the middle of the answer.", retry_after_sec=1)
        if account.status is None:
            raise failure from cause
        if not account.streams:
            raise CutOff from cause
        return problem_event(failure)

    async def _keep(self, file: ModelFile, caller: Caller, account: Account) -> None:
        now, correlation = self._house.clock.now(), correlation_id.get()
        choice = RoutingEvent(
            at=now,
            correlation_id=correlation,
            user=caller.user,
            provider="local",
            model=file.name,
            score=None,
            reason="named by the caller",
            detail={},
        )
        use = ModelUsageStat(
            at=now,
            model=file.name,
            user=caller.user,
            correlation_id=correlation,
            outcome=account.outcome,
            prompt_tokens=account.prompt_tokens,
            completion_tokens=account.completion_tokens,
            ttft_ms=account.ttft_ms,
            latency_ms=account.latency_ms(self._now()),
            finish_reason=account.finish_reason,
        )
        try:
            await self._house.db.writing(store.add_use, choice, use)
        except VX11Error as error:  # a full disk or a busy database must not undo an answer already given
            _log.error("usage of %s was not kept: %s", file.name, error.detail)

    def _now(self) -> float:
        return self._house.clock.monotonic()
