"""From what a request says to the tokens of its prompt.

Two kinds of text meet in a chat prompt: the template's, in which `<|im_end|>` ends a turn, and that of people and
tools, in which it is ten characters that somebody wrote. Control tokens spelled in a message are therefore marked
(`marks`) before the template sees them, and tokenized as plain text afterwards. A conversation without them is
tokenized in one piece, exactly as llama.cpp's server would.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from config.errors import BadRequest, ContextOverflow
from switch.openai.chat import ChatRequest
from switch.worker.marks import Controls, Marks
from switch.worker.template import ChatTemplate
from switch.worker.tool_format import Format, format_of, with_tools

_ROOM = 4  # a conversation that is shortened leaves one part in so many of the context for the answer


class Vocabulary(Protocol):
    """What turns text into tokens. Callable from any thread."""

    n_vocab: int

    def tokenize(self, text: str, *, add_special: bool = True, parse_special: bool = True) -> list[int]:
        """`text` as tokens; with `parse_special`, control tokens spelled out in it count as such."""

    def control_texts(self) -> list[str]:
        """How each control token is spelled. Slow: it looks at the whole vocabulary."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The tokens to continue, and how many messages were dropped to make them fit."""

    tokens: list[int]
    dropped_messages: int = 0


class Prompts:
    """Makes prompts for one model. Callable from any thread."""

    def __init__(
        self, vocabulary: Vocabulary, template: ChatTemplate | None, *, bos_text: str, n_ctx: int, model_name: str
    ) -> None:
        self._vocabulary = vocabulary
        self._template = template
        self._bos_text = bos_text
        self._n_ctx = n_ctx
        self._model_name = model_name
        self.format = Format.GENERIC if template is None else format_of(template.source)

    def completion(self, prompt: str | list[int]) -> Prompt:
        """The prompt of a text completion, as it stands."""
        tokens = self.tokens(prompt)
        _check_fits(len(tokens), self._n_ctx)
        return Prompt(tokens)

    def tokens(self, text: str | list[int]) -> list[int]:
        """Text as tokens; a list of tokens is only checked. Raises BadRequest."""
        tokens = self._vocabulary.tokenize(text) if isinstance(text, str) else text
        if not tokens:
            raise BadRequest("The prompt is empty.")
        if max(tokens) >= self._vocabulary.n_vocab:
            raise BadRequest(f"The prompt names token {max(tokens)}; the model has {self._vocabulary.n_vocab}.")
        return tokens

    def chat(self, request: ChatRequest) -> Prompt:
        """The prompt of a conversation; raises BadRequest, ContextOverflow."""
        if self._template is None:
            raise BadRequest(
                f"The model {self._model_name} has no chat template, so it cannot chat.",
                hint="Use POST /v1/completions, or a model tuned for instructions.",
            )
        tokens = self._chat_tokens(self._template, request, 0)
        if request.overflow == "error" or len(tokens) < self._n_ctx - self._room(request):
            _check_fits(len(tokens), self._n_ctx)
            return Prompt(tokens)
        return self._shortened(self._template, request)

    def _shortened(self, template: ChatTemplate, request: ChatRequest) -> Prompt:
        """Without as many of the oldest turns as must go; the system's words and the last turn stay."""
        turns = _turns(request.messages)
        fewest, most = 1, len(turns) - 1
        kept: list[int] = []
        while fewest <= most:
            middle = (fewest + most) // 2
            tokens = self._chat_tokens(template, request, middle)
            if len(tokens) < self._n_ctx - self._room(request):
                kept, most = tokens, middle - 1
            else:
                fewest = middle + 1
        if kept:
            return Prompt(kept, turns[fewest] - turns[0])
        # Even the last turn leaves less room than it should: let it have what there is.
        last = max(len(turns) - 1, 0)
        tokens = self._chat_tokens(template, request, last)
        _check_fits(len(tokens), self._n_ctx)
        return Prompt(tokens, turns[last] - turns[0])

    def _room(self, request: ChatRequest) -> int:
        """Tokens that a conversation leaves for its answer before its beginning is dropped."""
        if request.overflow == "error":
            return 0
        quarter = self._n_ctx // _ROOM
        return min(request.wish.max_tokens or quarter, quarter)

    def _chat_tokens(self, template: ChatTemplate, request: ChatRequest, dropped_turns: int) -> list[int]:
        messages, tools = _without(request.messages, dropped_turns), request.tools
        marks = Marks(lambda: self._controls, [messages, tools.functions if tools else []])
        if tools:
            tools = dataclasses.replace(tools, functions=marks.on(tools.functions))
        said = with_tools(marks.on(messages), tools, self.format)
        if said[0]["role"] == "system" and not self._takes_system:
            said = _system_to_user(said)
        knows_tools = tools is not None and self.format is not Format.GENERIC
        text = template.render(said, tools.functions if tools and knows_tools else None)
        # The tokenizer adds the begin mark itself; a template that also spells it out would double it.
        text = text.removeprefix(self._bos_text) if self._bos_text else text
        tokens: list[int] = []
        for number, (piece, trusted) in enumerate(marks.split(text)):
            tokens += self._vocabulary.tokenize(piece, add_special=number == 0, parse_special=trusted)
        return tokens

    @cached_property
    def _controls(self) -> Controls:
        return Controls(self._vocabulary.control_texts())

    @cached_property
    def _takes_system(self) -> bool:
        return self._template is not None and self._template.takes_system()


def _check_fits(prompt_tokens: int, n_ctx: int) -> None:
    """At least one token of the answer must fit beside the prompt; raises ContextOverflow."""
    if prompt_tokens >= n_ctx:
        raise ContextOverflow(
            f"The prompt has {prompt_tokens} tokens; the context of this model holds {n_ctx}, answer included.",
            extra={"prompt_tokens": prompt_tokens, "context_tokens": n_ctx},
        )


def _turns(messages: Sequence[dict[str, Any]]) -> list[int]:
    """Where turns begin: at each message of the user, and at the first that is not the system's."""
    starts = [index for index, message in enumerate(messages) if message["role"] == "user"]
    first = next((index for index, message in enumerate(messages) if message["role"] != "system"), len(messages))
    return sorted({first, *starts})


def _without(messages: list[dict[str, Any]], dropped_turns: int) -> list[dict[str, Any]]:
    """`messages` without the oldest turns; what the system says at the beginning stays."""
    if not dropped_turns:
        return messages
    turns = _turns(messages)
    return messages[: turns[0]] + messages[turns[dropped_turns] :]


def _system_to_user(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For templates that know no system: its words begin what the user says first."""
    system, *others = messages
    if others and others[0]["role"] == "user":
        first = {**others[0], "content": f"{system['content']}\n\n{others[0]['content']}"}
        return [first, *others[1:]]
    return [{"role": "user", "content": system["content"]}, *others]
