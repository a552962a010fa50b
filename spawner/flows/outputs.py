"""What daughters say, read while they say it: piece by piece, or as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from config.auth import Caller
from config.contracts.spawning import LIVE_STATUSES, JobStatus, Output
from config.errors import NotFound
from spawner import store
from spawner.adapters.sayings import Piece, read_output
from spawner.flows.desk import Desk

PIECE_BYTES: Final = 256 * 1024
_FRAME_BYTES: Final = 16 * 1024
_LOOK_EVERY_SEC: Final = 0.2
_HEARTBEAT_LOOKS: Final = 75  # 15 s
_EVENT_ID: Final = re.compile(r"([0-9]{1,6})-([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class _Place:
    """An attempt and how it stands: `last` is the number of the job's newest one."""

    spawn_id: str
    status: JobStatus
    number: int
    attempt_id: str | None
    ended: bool
    last: int


class Outputs:
    """Reads output."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def piece(self, caller: Caller, spawn_id: str, attempt: int | None, offset: int) -> Output:
        """What an attempt, the newest unless one is named, has said from `offset` on."""
        await self.ensure_visible(caller, spawn_id)
        place = await self._desk.house.db.reading(self._place, caller, spawn_id, attempt)
        return _output(place, await self._read(place, offset, PIECE_BYTES), offset)

    async def ensure_visible(self, caller: Caller, spawn_id: str) -> None:
        """NotFound where `caller` may not know of this job, a trace where it is another's; before a stream begins."""
        await self._desk.looked_at(caller, spawn_id)

    async def follow(self, caller: Caller, spawn_id: str, last_event_id: str = "") -> AsyncIterator[bytes]:
        """All that a job says, try after try, until it has ended: events `output`, and `ended` with its status.

        An event's id is the attempt's number and the byte it ends at; with the last one seen a stream resumes.
        """
        seen = _EVENT_ID.fullmatch(last_event_id)
        number, offset = (int(seen[1]), int(seen[2])) if seen else (1, 0)
        quiet = 0
        yield b": connected\nretry: 2000\n\n"
        while True:
            place = await self._desk.house.db.reading(self._place, caller, spawn_id, number)
            read = await self._read(place, offset, _FRAME_BYTES)
            if read.text:
                said = _output(place, read, offset)
                quiet, offset = 0, read.next_offset
                yield _frame("output", f"{number}-{offset}", said.model_dump(mode="json"))
            elif place.ended and place.last > number:
                number, offset = number + 1, 0
            elif place.status not in LIVE_STATUSES:
                yield _frame("ended", f"{number}-{offset}", {"spawn_id": place.spawn_id, "status": place.status})
                return
            else:
                quiet += 1
                if quiet % _HEARTBEAT_LOOKS == 0:
                    yield b": heartbeat\n\n"
                await asyncio.sleep(_LOOK_EVERY_SEC)

    async def _read(self, place: _Place, offset: int, most: int) -> Piece:
        folder = self._desk.folders.output(place.spawn_id, place.number)
        return await asyncio.to_thread(read_output, folder, offset, most, is_whole=place.ended)

    def _place(self, session: Session, caller: Caller, spawn_id: str, number: int | None) -> _Place:
        row = self._desk.visible(session, caller, spawn_id)
        attempts = {attempt.number: attempt for attempt in store.attempts_of(session, row.spawn_id)}
        last = max(attempts, default=0)
        wanted = (last or 1) if number is None else number
        if number is not None and number > max(last, 1):
            raise NotFound(f"{row.spawn_id} has had {last} attempts.")
        attempt = attempts.get(wanted)
        over = row.status not in LIVE_STATUSES if attempt is None else attempt.finished_at is not None
        return _Place(
            spawn_id=row.spawn_id,
            status=row.status,  # type: ignore[arg-type]  # the table holds only what the contract names
            number=wanted,
            attempt_id=attempt.attempt_id if attempt else None,
            ended=over,
            last=last,
        )


def _output(place: _Place, read: Piece, offset: int) -> Output:
    return Output(
        spawn_id=place.spawn_id,
        attempt=place.number,
        attempt_id=place.attempt_id,
        job_status=place.status,
        text=read.text,
        offset=offset,
        omitted_bytes=read.omitted,
        next_offset=read.next_offset,
        total_bytes=read.total,
        ended=place.ended and read.next_offset >= read.total,
    )


def _frame(event: str, identifier: str, data: dict[str, Any]) -> bytes:
    """One event; JSON holds no raw line break, so one data line is enough."""
    return f"id: {identifier}\nevent: {event}\ndata: {json.dumps(data)}\n\n".encode()
