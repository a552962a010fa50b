"""Streamed completions as a bench asks for them: the bytes are kept with their times, and read when all are there.

Asking costs next to nothing while tokens are made, because the client shares two cores with what it measures.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from scripts.measuring import TOKEN

_PATIENCE = aiohttp.ClientTimeout(total=170)
HEADERS = {"x-vx11-token": TOKEN}


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of text of a streamed answer, and when it came (`time.perf_counter`)."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Streamed:
    """One streamed answer: when it was asked for, its pieces of text, and what the server counted."""

    began: float
    pieces: tuple[Piece, ...]
    tokens: int
    prompt_tokens: int
    cached_tokens: int

    @property
    def first_ms(self) -> float:
        """Milliseconds from asking to the first text."""
        return (self.pieces[0].at - self.began) * 1000

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(piece.text for piece in self.pieces)

    def tokens_after(self, moment: float) -> float:
        """Tokens that came later than `moment`; a piece may hold a little more or less than one."""
        return self.tokens * sum(piece.at > moment for piece in self.pieces) / len(self.pieces)


@dataclass(frozen=True, slots=True)
class Together:
    """Streams asked for at the same time."""

    streams: tuple[Streamed, ...]

    @property
    def ended(self) -> float:
        """When the last of them was done."""
        return max(stream.pieces[-1].at for stream in self.streams)

    @property
    def first_of_all_ms(self) -> float:
        """Milliseconds until every one of them had its first text."""
        return max(stream.first_ms for stream in self.streams)

    @property
    def decode_tokens_per_sec(self) -> float:
        """Tokens a second over all streams, from the moment all of them have begun."""
        began = max(stream.pieces[0].at for stream in self.streams)
        return sum(stream.tokens_after(began) for stream in self.streams) / (self.ended - began)

    @property
    def whole_tokens_per_sec(self) -> float:
        """Tokens a second over all streams, prompts included."""
        began = min(stream.began for stream in self.streams)
        return sum(stream.tokens for stream in self.streams) / (self.ended - began)


class Client:
    """Asks one server. Used as an async context manager; `headers` go with every request."""

    def __init__(self, url: str, headers: Mapping[str, str] = HEADERS) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(url, connector=connector, headers=headers, timeout=_PATIENCE)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str) -> Any:
        """The JSON of a GET."""
        async with self._session.get(path) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON of a POST."""
        async with self._session.post(path, json=body) as answer:
            answer.raise_for_status()
            return await answer.json(content_type=None)

    def open(self, path: str, body: Mapping[str, Any]) -> aiohttp.client._RequestContextManager:
        """A POST whose answer is not read yet; for what a bench must do by hand."""
        return self._session.post(path, json=body)

    async def stream(self, body: Mapping[str, Any], *, path: str = "/v1/completions") -> Streamed:
        """Ask once, to the end of the answer; RuntimeError for an answer that is none."""
        wanted = {"temperature": 0, **body, "stream": True, "stream_options": {"include_usage": True}}
        began = time.perf_counter()
        async with self._session.post(path, json=wanted) as answer:
            arrived = [(time.perf_counter(), data) async for data in answer.content.iter_any()]
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {b''.join(data for _, data in arrived)!r}")
        return _read(began, arrived)

    async def together(self, bodies: Sequence[Mapping[str, Any]]) -> Together:
        """Ask all of these at once."""
        return Together(tuple(await asyncio.gather(*(self.stream(body) for body in bodies))))


def _read(began: float, arrived: Sequence[tuple[float, bytes]]) -> Streamed:
    pieces: list[Piece] = []
    usage: dict[str, Any] = {}
    for at, event in _events(arrived):
        if "error" in event:
            raise RuntimeError(f"the stream ended with {event['error']}")
        usage = event.get("usage") or usage
        for choice in event.get("choices", ()):
            text = choice["text"] if "text" in choice else choice["delta"].get("content")
            if text:
                pieces.append(Piece(at, text))
    if not pieces or not usage:
        raise RuntimeError(f"no text or no usage in {b''.join(data for _, data in arrived)[-500:]!r}")
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Streamed(began, tuple(pieces), usage["completion_tokens"], usage["prompt_tokens"], cached)


def _events(arrived: Sequence[tuple[float, bytes]]) -> Iterator[tuple[float, dict[str, Any]]]:
    """The JSON events of a stream, each with the time at which its last byte came."""
    rest = b""
    for at, data in arrived:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data: {"):
                yield at, json.loads(line[6:])


def middle(values: Sequence[float], digits: int = 1) -> float:
    """The median, rounded for reading."""
    return round(statistics.median(values), digits)


def ratio(ours: Sequence[float], peer: Sequence[float]) -> float:
    """The median of `ours` over the median of `peer`."""
    return round(statistics.median(ours) / statistics.median(peer), 3)


_WORDS = (
    *("harbour", "lantern", "winter", "salt", "copper", "gull", "granite", "kettle", "orchard", "violin", "thunder"),
    *("ribbon", "marble", "candle", "meadow", "anchor", "pepper", "willow", "saddle", "temple", "pocket", "garden"),
    *("silver", "button", "feather", "barrel", "cotton", "window", "engine", "forest"),
)


def prose(words: int, start: int) -> str:
    """Text of so many words, another for every `start` from its first word on; about one token a word."""
    numbers = itertools.islice(_shuffled(start), words)
    return f"Chapter {start}. " + " ".join(_WORDS[number % len(_WORDS)] for number in numbers)


def _shuffled(start: int) -> Iterator[int]:
    """A linear congruential generator (Numerical Recipes): the same text in every run, without `random`."""
    state = start
    while True:
        state = (1_664_525 * state + 1_013_904_223) % 2**32
        yield state >> 16
