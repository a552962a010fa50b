"""The state of one request while it is generated. Pure: the engine tells it which token was drawn."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from switch.worker.chances import Chance, Chances
from switch.worker.sampling import Sampling
from switch.worker.text import TextStream


class Finish(Enum):
    """Why an answer ended, in OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True)
class Job:
    """What a request asks of the engine: the prompt as tokens, and how to go on from it.

    `reuse` is False for a prompt that is to be evaluated from its first token on, and not to be remembered.
    `max_tokens` bounds the answer; None means as far as the context goes. `logprobs` is None, or of how many
    likeliest tokens to tell the probability beside the drawn one's.
    """

    prompt: list[int]
    sampling: Sampling
    stops: tuple[str, ...] = ()
    max_tokens: int | None = None
    logprobs: int | None = None
    reuse: bool = True

    def most_tokens(self, n_ctx: int) -> int:
        """The most tokens, prompt and answer, that this job can come to hold."""
        return n_ctx if self.max_tokens is None else min(n_ctx, len(self.prompt) + self.max_tokens)


class Sequence:
    """One running request: its tokens, how many of them the context has evaluated, and the text so far.

    `tokens[:n_past]` are in the context's memory, the rest are pending. Rewinding `n_past` is always safe:
    the tokens are here to be evaluated again.
    """

    __slots__ = ("_chances", "_limit", "_shown", "arrival", "finish", "n_past", "n_prompt", "seq_id", "text", "tokens")

    def __init__(self, job: Job, *, seq_id: int, arrival: int, n_ctx: int) -> None:
        self.seq_id = seq_id
        self.arrival = arrival
        self.tokens = list(job.prompt)
        self.n_prompt = len(job.prompt)
        self.n_past = 0
        self.text = TextStream(job.stops)
        self.finish: Finish | None = None
        self._limit = job.most_tokens(n_ctx)
        self._chances = Chances()
        self._shown = 0

    @property
    def pending(self) -> int:
        """Tokens that the context has not evaluated yet."""
        return len(self.tokens) - self.n_past

    @property
    def generated(self) -> int:
        """Tokens drawn so far, the one that ends the answer included, as llama.cpp's server counts."""
        return len(self.tokens) - self.n_prompt

    def accept(self, token: int, piece: bytes, *, ends: bool, chance: Chance | None = None) -> str:
        """Take the token that was drawn; return the text that may be shown now.

        `ends` says that the token means the end of the answer. Sets `finish` when the answer is over.
        """
        self.tokens.append(token)
        begin = self._shown + self.text.held
        shown = self._text_of(piece, ends=ends)
        self._shown += len(shown)
        if chance is not None:
            self._chances.add(chance, begin, max(begin, self._shown + self.text.held))
        return shown

    def told(self) -> tuple[Chance, ...]:
        """The chances of the tokens whose text was shown since the last call."""
        return self._chances.told(self._shown, over=self.finish is not None)

    def _text_of(self, piece: bytes, *, ends: bool) -> str:
        if ends:
            self.finish = Finish.STOP
            return self.text.rest()
        shown, stopped = self.text.feed(piece)
        if stopped:
            self.finish = Finish.STOP
        elif len(self.tokens) >= self._limit:
            self.finish = Finish.LENGTH
            shown += self.text.rest()
        return shown
