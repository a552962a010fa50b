"""What a model's header means for the registry: what it is for, how long its context is, whether it can be served."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from config.contracts.models import Compatibility, TaskType
from hermes.gguf import GgufHeader

# Architectures that only embed; newer files also say so by a pooling type.
_EMBEDDERS = frozenset(
    {"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "t5encoder", "neo-bert"}
)
_LEFT_OUT = frozenset({"context_length", "data_offset", "file_bytes"})


@dataclass(frozen=True, slots=True)
class Card:
    """The part of a registry row that comes from the file itself."""

    task_type: TaskType
    max_context: int
    compatibility: Compatibility
    meta_info: dict[str, Any]


def card_of(header: GgufHeader) -> Card:
    """The card of a model with this header."""
    obstacle = unsupported_because(header)
    facts = {key: value for key, value in asdict(header).items() if key not in _LEFT_OUT and value is not None}
    if obstacle:
        facts["unsupported_because"] = obstacle
    return Card(
        task_type=_task_type(header),
        max_context=header.context_length or 0,
        compatibility="unsupported" if obstacle else "ok",
        meta_info=facts,
    )


def unsupported_because(header: GgufHeader) -> str | None:
    """Why a sound file still cannot be served; None if nothing speaks against it."""
    if header.architecture == "clip":
        return "it holds the eyes of another model (clip), not a model"
    if header.kind != "model":
        return f"it holds a part for other models ({header.kind}), not a model"
    if header.shards > 1:
        return f"it is one of {header.shards} shards; only models in one file are served"
    if header.tensor_count == 0:
        return "it holds a vocabulary but no weights"
    if header.context_length is None:
        return "it does not say how long its context is"
    return None


def _task_type(header: GgufHeader) -> TaskType:
    if header.pooling_type or header.architecture in _EMBEDDERS:
        return "embedding"
    return "chat" if header.chat_template else "completion"
