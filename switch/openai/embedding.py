"""`POST /v1/embeddings`: the body, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from switch.openai.fields import Fields, is_unicode, json_object

MAX_INPUTS = 256
MAX_INPUT_CHARACTERS = 1 << 20


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts or lists of tokens, each to become one vector; `dimensions` is None or what the caller counts on."""

    model: str
    inputs: list[str | list[int]]
    base64: bool
    dimensions: int | None


def parse_embedding(raw: bytes) -> EmbeddingRequest:
    """Check an embedding request; raises BadRequest and Invalid as `parse_chat` does."""
    fields = Fields(json_object(raw))
    request = EmbeddingRequest(
        model=fields.text("model"),
        inputs=_inputs(fields),
        base64=fields.choice("encoding_format", {"float": False, "base64": True}, False),
        dimensions=fields.whole("dimensions", low=1, high=1 << 20),
    )
    fields.finish()
    return request


def _inputs(fields: Fields) -> list[str | list[int]]:
    value = fields.take("input")
    inputs = value if isinstance(value, list) and not _are_tokens(value) else [value]
    if not 0 < len(inputs) <= MAX_INPUTS:
        fields.wrong("input", f"must be 1 to {MAX_INPUTS} texts or lists of tokens")
        return []
    for index, one in enumerate(inputs):
        if not (_is_text(one) or _are_tokens(one)):
            fields.wrong("input" if one is value else f"input.{index}", "must be text or a list of tokens, not empty")
    return inputs


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_INPUT_CHARACTERS and is_unicode(value)


def _are_tokens(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(type(token) is int and 0 <= token < 1 << 31 for token in value)
    )
