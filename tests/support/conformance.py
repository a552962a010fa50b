"""Judges an answer by llama.cpp's own server: does every token of it stand where that server would put one?

Two builds of llama.cpp round sums in another order, so that two greedy answers may part where two tokens are nearly
equally likely. Where they part, the judge looks at how much likelier the server's own token was, then goes on from
*our* token, so that everything behind a parting is judged as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.llama_server import LlamaServer

_ALTERNATIVES = 12
_MOST_READINGS = 60


@dataclass(frozen=True)
class Parting:
    """A token of ours that is not the server's first choice. `gap` is how much likelier (natural logarithm) its own
    was; None where ours is not among its first twelve."""

    position: int
    theirs: str
    ours: str
    gap: float | None


@dataclass(frozen=True)
class Verdict:
    """How many tokens were judged, and where they part from the server's."""

    tokens: int
    partings: tuple[Parting, ...]

    def worst_gap(self) -> float:
        """The largest gap; infinite where ours was no choice of the server's at all."""
        gaps = [float("inf") if one.gap is None else one.gap for one in self.partings]
        return max(gaps, default=0.0)


@dataclass(frozen=True)
class _Reading:
    """One way to read our text as tokens: those read (the prompt's before them), what is left, where it parted."""

    tokens: tuple[int, ...]
    rest: bytes
    partings: tuple[Parting, ...]

    def taking(self, step: dict[str, Any], choice: dict[str, Any], prompt: int) -> _Reading:
        """One token further."""
        partings = self.partings
        if choice["id"] != step["id"]:
            gap = step["logprob"] - choice["logprob"]
            partings += (Parting(len(self.tokens) - prompt, step["token"], choice["token"], gap),)
        return _Reading((*self.tokens, choice["id"]), self.rest[len(bytes(choice["bytes"])) :], partings)


class Judge:
    """Judges answers to prompts of one model by a server that has the same file."""

    def __init__(self, server: LlamaServer) -> None:
        self._server = server

    async def tokens_of(self, prompt: str) -> list[int]:
        """The tokens of a text prompt, special ones understood, as both sides read it."""
        answer = await self._server.post("/tokenize", content=prompt, add_special=True, parse_special=True)
        return list(answer.raise_for_status().json()["tokens"])

    async def tokens_of_chat(self, messages: list[dict[str, str]]) -> list[int]:
        """The tokens of a conversation, by the model's own template."""
        answer = await self._server.post("/apply-template", messages=messages)
        return await self.tokens_of(answer.raise_for_status().json()["prompt"])

    async def verdict(self, prompt: list[int], text: str, *, limit: int, has_ended: bool) -> Verdict:
        """Judge the greedy answer `text` of at most `limit` tokens; `has_ended` says that the model itself ended it.

        The text does not say where its tokens end (` None` is one token or two), so a reading that leads nowhere is
        given up for the next that fits; the first reading that explains the whole text is the verdict.
        """
        readings = [_Reading(tuple(prompt), text.encode(), ())]
        first: Verdict | None = None
        for _ in range(_MOST_READINGS):
            if not readings:
                break
            reading = readings.pop()
            steps = await self._continued(list(reading.tokens), limit + 1 - (len(reading.tokens) - len(prompt)))
            for step in steps:
                judged = Verdict(len(reading.tokens) - len(prompt), reading.partings)
                if (not reading.rest and not has_ended) or len(reading.tokens) - len(prompt) > limit:
                    return judged
                ways = [reading.taking(step, choice, len(prompt)) for choice in _fitting(step, reading.rest)]
                if not ways:
                    lost = Parting(judged.tokens, step["token"], reading.rest.decode("utf-8", "replace")[:16], None)
                    first = first or Verdict(judged.tokens, (*judged.partings, lost))
                    break
                if not reading.rest:
                    return Verdict(judged.tokens, ways[0].partings)
                readings += reversed(ways[1:])
                reading = ways[0]
                if reading.tokens[-1] != step["id"]:
                    readings.append(reading)  # the server must go on from our token
                    break
            else:
                first = first or Verdict(len(reading.tokens) - len(prompt), reading.partings)
                if not reading.rest:
                    return Verdict(len(reading.tokens) - len(prompt), reading.partings)
        assert first is not None
        return first

    async def _continued(self, tokens: list[int], limit: int) -> list[dict[str, Any]]:
        """The server's own greedy answer to these tokens, each with its alternatives."""
        answer = await self._server.post(
            "/v1/completions", prompt=tokens, max_tokens=limit, temperature=0, logprobs=_ALTERNATIVES
        )
        return list(answer.raise_for_status().json()["choices"][0]["logprobs"]["content"])


def _fitting(step: dict[str, Any], rest: bytes) -> list[dict[str, Any]]:
    """What we may have chosen at a step, in the server's words: its own choice first, then the likeliest. An end of the
    answer has no bytes, and fits only where our text is over."""
    fits: dict[int, dict[str, Any]] = {}
    for choice in (step, *step["top_logprobs"]):
        raw = bytes(choice["bytes"])
        if raw == rest == b"" or (raw and rest.startswith(raw)):
            fits.setdefault(choice["id"], choice)
    return list(fits.values())
