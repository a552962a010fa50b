"""What daughters say as events: every two seconds the latest of each that said something, short enough for the journal.

Whoever wants every byte reads the job's output; an event says that there is more, and what it looks like.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy.orm import Session

from spawner.adapters.sayings import read_output, total_of
from spawner.flows.desk import Desk, brief
from spawner.flows.running import Try

_EVERY_SEC: Final = 2.0
_TEXT_BYTES: Final = 2000
_JSON_BYTES: Final = 2500  # of an event's 3.5 KiB; a character may take up to twelve in JSON


class Telling:
    """Remembers how much of whom was told."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._told: dict[str, int] = {}
        self._told_at = desk.house.clock.monotonic()

    async def tell(self, running: Iterable[Try]) -> None:
        """Journal what was said since the last time, no more often than every two seconds."""
        now = self._desk.house.clock.monotonic()
        if now - self._told_at < _EVERY_SEC:
            return
        self._told_at = now
        tries = list(running)
        self._told = {run.attempt_id: self._told.get(run.attempt_id, 0) for run in tries}
        news = await asyncio.to_thread(lambda: [new for run in tries if (new := self._new(run))])
        if news:
            await self._desk.house.db.writing(self._write, news)

    def _new(self, run: Try) -> dict[str, Any] | None:
        folder, before = self._desk.folders.output(run.spawn_id, run.number), self._told[run.attempt_id]
        total = total_of(folder)
        if total <= before:
            return None
        self._told[run.attempt_id] = total
        piece = read_output(folder, max(before, total - _TEXT_BYTES), _TEXT_BYTES, is_whole=True)
        return {
            "job_id": run.spawn_id,
            "kind": "daughter",
            "user": brief(run.user, 400),
            "attempt": run.number,
            "text": _short(piece.text),
            "total_bytes": total,
            "correlation_id": run.correlation_id,
        }

    def _write(self, session: Session, news: list[dict[str, Any]]) -> None:
        for new in news:
            correlation = new.pop("correlation_id")
            self._desk.house.journal.append(session, "job.output", new, correlation_id=correlation)


def _short(text: str) -> str:
    """The end of `text`, as much of it as an event can carry."""
    while len(json.dumps(text)) > _JSON_BYTES:
        text = text[len(text) // 4 + 1 :]
    return text
