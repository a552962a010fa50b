"""From what the engine gives to what a client reads: several choices at once, streamed or whole."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from config.errors import VX11Error
from switch.worker import answers
from switch.worker.answers import Choice, Events, Heading
from switch.worker.outlet import End, Outlet, Part
from switch.worker.tool_format import Format
from switch.worker.tool_reader import CallReader, Said

Write = Callable[[bytes, bool], Awaitable[None]]
Parts = AsyncGenerator[tuple[int, Part], None]


async def parts_of(outlets: Sequence[Outlet]) -> Parts:
    """What each outlet gives, with its place, as it comes, until all have ended; raises what closed one of them."""
    if len(outlets) == 1:
        part = Part("", None)
        while part.end is None:
            part = await outlets[0].take()
            yield 0, part
        return
    taking = {asyncio.create_task(outlet.take()): place for place, outlet in enumerate(outlets)}
    try:
        while taking:
            done, _ = await asyncio.wait(taking, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=taking.__getitem__):
                place, part = taking.pop(task), task.result()
                if part.end is None:
                    taking[asyncio.create_task(outlets[place].take())] = place
                yield place, part
    finally:
        for task in taking:
            task.cancel()
        await asyncio.gather(*taking, return_exceptions=True)


async def nothing_said(end: End, choices: int) -> Parts:
    """The parts of answers that were not to hold a single token."""
    for place in range(choices):
        yield place, Part("", end)


def reader_of(form: Format | None) -> CallReader | None:
    """What finds calls in an answer; None where there are no tools to call."""
    if form is None:
        return None
    # Mistral's templates take ids of exactly nine characters.
    return CallReader(
        form, lambda: secrets.token_hex(5)[:9] if form is Format.MISTRAL else f"call_{secrets.token_hex(12)}"
    )


async def gather(heading: Heading, parts: Parts, choices: int, form: Format | None, *, with_chances: bool) -> bytes:
    """The body of an answer once it is whole."""
    gathered = [Choice() for _ in range(choices)]
    readers = [reader_of(form) for _ in range(choices)]
    async with aclosing(parts):
        async for place, part in parts:
            choice, reader = gathered[place], readers[place]
            deltas = [Said(part.text)] if reader is None else reader.feed(part.text)
            if reader is not None and part.end is not None:
                deltas += reader.finish()
            for delta in deltas:
                choice.add(delta)
            choice.chances += part.chances
            choice.end = part.end
    return answers.whole(heading, gathered, with_chances=with_chances)


class Stream:
    """One streamed answer. `write` sends bytes; its second argument says whether more follow."""

    def __init__(self, heading: Heading, choices: int, form: Format | None, *, include_usage: bool) -> None:
        self._heading = heading
        self._include_usage = include_usage
        self._events = [Events(heading, place) for place in range(choices)]
        self._readers = [reader_of(form) for _ in range(choices)]
        self._ends: dict[int, End] = {}

    async def send(self, parts: Parts, begin: Callable[[], Awaitable[None]], write: Write) -> None:
        """Send events as they come, what one step gave in one write. An error after the first byte is an event.

        `begin` is called before that byte, when the first part is there: until then an error has its own status.
        """
        async with aclosing(parts):
            place, part = await anext(parts)
            await begin()
            opening = b"".join(events.opening() for events in self._events)
            try:
                await write(opening + self._of(place, part), not self._is_over)
                async for place, part in parts:
                    await write(self._of(place, part), not self._is_over)
            except VX11Error as error:
                await write(answers.failure(error), False)

    @property
    def _is_over(self) -> bool:
        return len(self._ends) == len(self._events)

    def _of(self, place: int, part: Part) -> bytes:
        """The events of one part, and of the end when it was the last."""
        events, reader = self._events[place], self._readers[place]
        data = self._said(events, reader, part)
        if part.end is None:
            return data
        self._ends[place] = part.end
        ends = [self._ends[one] for one in sorted(self._ends)] if self._is_over else []
        data += events.closing(part.end, calls=0 if reader is None else reader.calls, all_ends=ends)
        return data + answers.last_events(self._heading, ends, include_usage=self._include_usage) if ends else data

    def _said(self, events: Events, reader: CallReader | None, part: Part) -> bytes:
        if reader is None:
            return events.text(part.text, part.chances) if part.text or part.chances else b""
        deltas = reader.feed(part.text) + (reader.finish() if part.end is not None else [])
        chances = events.text("", part.chances) if part.chances else b""
        return chances + b"".join(map(events.delta, deltas))
