"""Small GGUF files made by hand: sound ones, and ones that lie."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Mapping, Sequence
from typing import Any

U32, F32, BOOL, STRING, ARRAY, U64 = 4, 6, 7, 8, 9, 10
_ALIGNMENT = 32
ARCHITECTURE = "llama"

FACTS: dict[str, Any] = {
    "general.architecture": ARCHITECTURE,
    "general.name": "Tiny",
    "general.file_type": 0,
    f"{ARCHITECTURE}.context_length": 512,
    f"{ARCHITECTURE}.block_count": 2,
    f"{ARCHITECTURE}.embedding_length": 64,
    f"{ARCHITECTURE}.attention.head_count": 4,
    f"{ARCHITECTURE}.attention.head_count_kv": 2,
    "tokenizer.chat_template": "{{ messages }}",
    "tokenizer.ggml.tokens": ["<s>", "</s>", "a", "b"],
}


def gguf_bytes(facts: Mapping[str, Any] | None = None, *, elements: int = 256, salt: int = 0) -> bytes:
    """A whole GGUF v3 file with one F32 tensor of `elements` numbers; `salt` makes different files."""
    facts = FACTS if facts is None else facts
    head = header_bytes(facts, [("token_embd.weight", (elements,), 0, 0)])
    padding = -len(head) % _ALIGNMENT
    return head + bytes(padding) + random.Random(salt).randbytes(4 * elements)


def header_bytes(
    facts: Mapping[str, Any],
    tensors: Sequence[tuple[str, tuple[int, ...], int, int]],
    *,
    version: int = 3,
) -> bytes:
    """A header; tensors are (name, dimensions, ggml type, offset)."""
    parts = [b"GGUF", struct.pack("<IQQ", version, len(tensors), len(facts))]
    parts += [string(key) + _typed(value) for key, value in facts.items()]
    for name, dimensions, kind, offset in tensors:
        parts.append(string(name) + struct.pack("<I", len(dimensions)))
        parts.append(struct.pack(f"<{len(dimensions)}Q", *dimensions) + struct.pack("<IQ", kind, offset))
    return b"".join(parts)


def string(text: str) -> bytes:
    """A GGUF string."""
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _typed(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", U32, value)
    if isinstance(value, float):
        return struct.pack("<If", F32, value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + string(value)
    return struct.pack("<I", ARRAY) + _array(value)


def _array(items: Sequence[Any]) -> bytes:
    if all(isinstance(item, str) for item in items):
        return struct.pack("<IQ", STRING, len(items)) + b"".join(string(item) for item in items)
    return struct.pack("<IQ", U32, len(items)) + struct.pack(f"<{len(items)}I", *items)


def sha256(body: bytes) -> str:
    """The hash a caller would promise for `body`."""
    return hashlib.sha256(body).hexdigest()
