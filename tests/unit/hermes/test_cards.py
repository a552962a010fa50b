"""What a header means for the registry."""

from __future__ import annotations

import io
from typing import Any

import pytest

from hermes.cards import Card, card_of
from hermes.gguf import read_header
from tests.support.gguf import FACTS, gguf_bytes, header_bytes


def card(changes: dict[str, Any]) -> Card:
    facts = {key: value for key, value in {**FACTS, **changes}.items() if value is not None}
    body = gguf_bytes(facts)
    return card_of(read_header(io.BytesIO(body), len(body)))


def test_a_chat_model() -> None:
    found = card({})
    assert (found.task_type, found.max_context, found.compatibility) == ("chat", 512, "ok")
    assert found.meta_info["quantisation"] == "F32"


def test_without_a_chat_template_it_completes() -> None:
    assert card({"tokenizer.chat_template": None}).task_type == "completion"


def test_a_pooling_type_makes_an_embedder() -> None:
    assert card({"llama.pooling_type": 1}).task_type == "embedding"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"split.count": 3}, "shards"),
        ({"general.type": "adapter"}, "adapter"),
        ({"general.architecture": "clip"}, "clip"),
        ({"llama.context_length": None}, "context"),
    ],
)
def test_sound_files_that_cannot_be_served_say_why(changes: dict[str, Any], why: str) -> None:
    found = card(changes)
    assert found.compatibility == "unsupported"
    assert why in found.meta_info["unsupported_because"]


def test_a_vocabulary_alone_is_no_model() -> None:
    body = header_bytes(FACTS, []) + bytes(32)
    assert "no weights" in card_of(read_header(io.BytesIO(body), len(body))).meta_info["unsupported_because"]
