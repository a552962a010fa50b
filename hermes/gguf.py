"""What a GGUF file says of itself in its header, read without the library and without trusting the file.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian). Only the
header is read (a few megabytes at most, nearly all of it vocabulary, which is passed over); the tensors'
declared extents then tell whether the file is whole. Why this is not the `gguf` package:
docs/decisions/0003-gguf-header.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

from config.errors import BadModelFile
from hermes.ggml_types import FILE_TYPES, TENSOR_TYPES
from hermes.gguf_cursor import Cursor, Value

MAGIC: Final = b"GGUF"
MAX_KEYS: Final = 1 << 16
MAX_TENSORS: Final = 1 << 16
MAX_DIMENSIONS: Final = 4
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_ELEMENTS = 1 << 48  # no tensor of any model comes near; keeps hostile products small


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor's entry: elements it holds, its ggml type and where its bytes begin after the header."""

    elements: int
    type_id: int
    offset: int

    @property
    def size_bytes(self) -> int | None:
        """Bytes it takes; None for a type this version does not know."""
        known = TENSOR_TYPES.get(self.type_id)
        return None if known is None else known.bytes_of(self.elements)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The header, in the words Switch and people need.

    `kv_values_per_token` is the number of cached keys and values one token of context costs, all layers
    together; times the bytes of a cache element it gives the KV cache's size. None: the file does not say.
    """

    version: int
    architecture: str
    kind: str
    name: str | None
    size_label: str | None
    licence: str | None
    context_length: int | None
    layers: int | None
    embedding_length: int | None
    heads: int | None
    kv_values_per_token: int | None
    sliding_window: int | None
    pooling_type: int | None
    file_type: int | None
    quantisation: str
    shards: int
    chat_template: bool
    tensor_count: int
    tensor_bytes: int
    parameters: int
    data_offset: int
    file_bytes: int


def read_header(stream: BinaryIO, size: int) -> GgufHeader:
    """The header of the file of `size` bytes that `stream` stands at the beginning of; BadModelFile if it is none.

    Also refuses a file that ends before its last tensor does: a download or copy that was cut off.
    """
    cursor = Cursor(stream, size)
    version = _opening(cursor, size)
    tensor_count, key_count = cursor.u64(), cursor.u64()
    _check_counts(tensor_count, key_count)
    facts = _facts(cursor, key_count)
    tensors = [_tensor(cursor) for _ in range(tensor_count)]
    data_offset = _aligned(cursor.position, _alignment(facts))
    header = _header(version, facts, tensors, data_offset)
    if header.file_bytes > size:
        raise BadModelFile(f"The file is cut off: its tensors need {header.file_bytes} bytes, {size} are there.")
    return header


def _opening(cursor: Cursor, size: int) -> int:
    """Check the magic and give the version."""
    if size == 0:
        raise BadModelFile("The file is empty.")
    magic = cursor.take(min(4, size))
    if magic != MAGIC:
        raise BadModelFile(f"This is not a GGUF file: it begins with {magic!r}, not with {MAGIC!r}.")
    version = cursor.u32()
    if version not in _VERSIONS:
        if version & 0xFFFF == 0:
            raise BadModelFile("This GGUF file is for a big-endian machine; VX11 reads little-endian ones.")
        raise BadModelFile(f"This GGUF file has version {version}; VX11 reads versions 2 and 3.")
    return version


def _check_counts(tensors: int, keys: int) -> None:
    if keys > MAX_KEYS:
        raise BadModelFile(f"The header claims {keys} keys; at most {MAX_KEYS} are read.")
    if tensors > MAX_TENSORS:
        raise BadModelFile(f"The header claims {tensors} tensors; at most {MAX_TENSORS} are read.")


def _facts(cursor: Cursor, count: int) -> dict[str, Value]:
    facts: dict[str, Value] = {}
    for _ in range(count):
        key, kind = cursor.name(), cursor.u32()
        value = cursor.value(kind)
        if value is not None:
            facts[key] = value
    return facts


def _tensor(cursor: Cursor) -> Tensor:
    name = cursor.name()
    dimensions = cursor.u32()
    if dimensions > MAX_DIMENSIONS:
        raise BadModelFile(f"Tensor {name[:80]!r} has {dimensions} dimensions; ggml knows {MAX_DIMENSIONS}.")
    elements = 1
    for _ in range(dimensions):
        elements *= cursor.u64()
        if elements > _MAX_ELEMENTS:
            raise BadModelFile(f"Tensor {name[:80]!r} claims more elements than any model holds.")
    return Tensor(elements, cursor.u32(), cursor.u64())


def _alignment(facts: Mapping[str, Value]) -> int:
    value = _integer(facts, "general.alignment")
    if value is None:
        return _DEFAULT_ALIGNMENT
    if value <= 0 or value & (value - 1):
        raise BadModelFile(f"The header gives an alignment of {value}; it must be a power of two.")
    return value


def _aligned(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _header(version: int, facts: Mapping[str, Value], tensors: list[Tensor], data_offset: int) -> GgufHeader:
    architecture = _text(facts, "general.architecture")
    if not architecture:
        raise BadModelFile("The header names no architecture (general.architecture).")
    file_type = _integer(facts, "general.file_type")
    return GgufHeader(
        version=version,
        architecture=architecture,
        kind=_text(facts, "general.type") or "model",
        name=_text(facts, "general.name"),
        size_label=_text(facts, "general.size_label"),
        licence=_text(facts, "general.license"),
        context_length=_integer(facts, f"{architecture}.context_length"),
        layers=_integer(facts, f"{architecture}.block_count"),
        embedding_length=_integer(facts, f"{architecture}.embedding_length"),
        heads=_largest(facts, f"{architecture}.attention.head_count"),
        kv_values_per_token=_kv_values(facts, architecture),
        sliding_window=_integer(facts, f"{architecture}.attention.sliding_window"),
        pooling_type=_integer(facts, f"{architecture}.pooling_type"),
        file_type=file_type,
        quantisation=_quantisation(file_type, tensors),
        shards=_integer(facts, "split.count") or 1,
        chat_template="tokenizer.chat_template" in facts,
        tensor_count=len(tensors),
        tensor_bytes=sum(tensor.size_bytes or 0 for tensor in tensors),
        parameters=sum(tensor.elements for tensor in tensors),
        data_offset=data_offset,
        file_bytes=_extent(tensors, data_offset),
    )


def _extent(tensors: list[Tensor], data_offset: int) -> int:
    """The bytes the file must have to hold every tensor; one of an unknown type counts up to its beginning."""
    return data_offset + max((tensor.offset + (tensor.size_bytes or 0) for tensor in tensors), default=0)


def _quantisation(file_type: int | None, tensors: list[Tensor]) -> str:
    """The name of the file's mix, or, where it has none, of the type most of its numbers have."""
    if file_type is not None and file_type in FILE_TYPES:
        return FILE_TYPES[file_type]
    weight: Counter[int] = Counter()
    for tensor in tensors:
        weight[tensor.type_id] += tensor.elements
    if not weight:
        return "unknown"
    known = TENSOR_TYPES.get(weight.most_common(1)[0][0])
    return known.name if known else "unknown"


def _kv_values(facts: Mapping[str, Value], architecture: str) -> int | None:
    """Cached numbers per token: Σ over layers of key-value heads × (key length + value length)."""
    layers = _integer(facts, f"{architecture}.block_count")
    heads = _largest(facts, f"{architecture}.attention.head_count")
    width = _integer(facts, f"{architecture}.embedding_length")
    if not layers or not heads or not width:
        return None
    key_length = _integer(facts, f"{architecture}.attention.key_length") or width // heads
    value_length = _integer(facts, f"{architecture}.attention.value_length") or width // heads
    return _kv_heads(facts, architecture, layers, heads) * (key_length + value_length)


def _kv_heads(facts: Mapping[str, Value], architecture: str, layers: int, heads: int) -> int:
    """Key-value heads of all layers together; a list gives each layer its own."""
    given = facts.get(f"{architecture}.attention.head_count_kv")
    if isinstance(given, list) and len(given) == layers:
        return sum(given)
    per_layer = _largest(facts, f"{architecture}.attention.head_count_kv")
    return layers * (heads if per_layer is None else per_layer)


def _text(facts: Mapping[str, Value], key: str) -> str | None:
    value = facts.get(key)
    return value[:256] if isinstance(value, str) and value else None


def _integer(facts: Mapping[str, Value], key: str) -> int | None:
    value = facts.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _largest(facts: Mapping[str, Value], key: str) -> int | None:
    value = facts.get(key)
    if isinstance(value, list):
        return max(value, default=None)
    return _integer(facts, key)
