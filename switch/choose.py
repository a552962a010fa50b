"""Which model a request means. An unknown name is an error, never a default. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from config.errors import BadRequest, Invalid, UnknownModel

_OVERHEAD_MB = 90  # interpreter, library, compute buffers of a small model; measured on SmolLM2 and Gemma 3
_MIB = 2**20
_KV_BYTES_PER_VALUE = 2  # f16


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An enabled row of the registry, as Switch needs it; `path` lies below the models folder."""

    name: str
    path: str
    size_bytes: int
    sha256: str
    max_context: int
    created: int
    kv_values_per_token: int | None
    task_type: str = "chat"


def asked(body: bytes) -> dict[str, Any]:
    """The request body as a JSON object; BadRequest for anything else."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not valid JSON: {error}.") from error
    if not isinstance(request, dict):
        raise BadRequest("The body must be a JSON object.")
    return request


def name_in(request: dict[str, Any]) -> str:
    """The name in `request["model"]`; Invalid where there is none."""
    name = request.get("model")
    if not isinstance(name, str) or not name:
        raise Invalid("`model` must name a model.", errors=[{"field": "model", "message": "a non-empty string"}])
    return name


def chosen(request: dict[str, Any], models: dict[str, ModelFile]) -> ModelFile:
    """The model that `request["model"]` names."""
    name = name_in(request)
    if name not in models:
        hint = f"Enabled models: {', '.join(sorted(models))}." if models else "No model is enabled yet."
        raise UnknownModel(f"There is no enabled model called {name!r}.", hint=hint)
    return models[name]


def context_of(model: ModelFile, context_tokens: int) -> int:
    """Tokens of one conversation: the setting, but never more than the model was trained for."""
    return min(context_tokens, model.max_context) if model.max_context else context_tokens


def need_mb(model: ModelFile, kv_tokens: int, prefix_ram_mb: int = 0) -> int:
    """MiB to reserve before its worker starts: the file's tensors, the KV memory, saved prompts, a fixed overhead.

    KV bytes = tokens × values per token × 2 (f16); where the header did not tell the values, a quarter of
    the file stands in for them. The worker's measured size corrects the ledger afterwards.
    """
    if model.kv_values_per_token is None:
        kv_bytes = model.size_bytes // 4
    else:
        kv_bytes = kv_tokens * model.kv_values_per_token * _KV_BYTES_PER_VALUE
    return (model.size_bytes + kv_bytes) // _MIB + 1 + prefix_ram_mb + _OVERHEAD_MB
