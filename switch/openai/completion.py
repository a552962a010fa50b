"""`POST /v1/completions`: the body, checked."""

from __future__ import annotations

from dataclasses import dataclass

from switch.openai.fields import Fields, is_unicode, json_object
from switch.openai.wish import MAX_LIKELIEST, Wish, wish_of


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """`POST /v1/completions`: the prompt as text or as tokens."""

    prompt: str | list[int]
    wish: Wish


def parse_completion(raw: bytes) -> CompletionRequest:
    """Check a completion request; raises BadRequest and Invalid as `parse_chat` does."""
    fields = Fields(json_object(raw))
    prompt = _prompt(fields)
    logprobs = fields.whole("logprobs", low=0, high=MAX_LIKELIEST)
    wish = wish_of(fields, max_tokens_names=("max_tokens",), logprobs=logprobs, least_tokens=0)
    fields.finish()
    return CompletionRequest(prompt, wish)


def _prompt(fields: Fields) -> str | list[int]:
    value = fields.take("prompt")
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str | list):
        [value] = value
    if isinstance(value, str) and value and is_unicode(value):
        return value
    if isinstance(value, list) and value and all(type(token) is int and 0 <= token < 1 << 31 for token in value):
        return value
    fields.wrong("prompt", "must be one text or one list of tokens, not empty")
    return ""
