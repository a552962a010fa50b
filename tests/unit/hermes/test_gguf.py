"""The header parser: what it reads, what it refuses, and that nothing hostile costs more than an error."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import BadModelFile
from hermes.gguf import GgufHeader, read_header
from tests.support.gguf import ARRAY, FACTS, STRING, U32, gguf_bytes, header_bytes, string


def read(body: bytes) -> GgufHeader:
    return read_header(io.BytesIO(body), len(body))


def with_facts(**changes: Any) -> bytes:
    facts = {**FACTS, **{key.replace("__", "."): value for key, value in changes.items()}}
    return gguf_bytes({key: value for key, value in facts.items() if value is not None})


def test_it_reads_what_the_file_says_of_itself() -> None:
    body = gguf_bytes()
    header = read(body)
    assert (header.version, header.architecture, header.name) == (3, "llama", "Tiny")
    assert (header.context_length, header.layers, header.embedding_length, header.heads) == (512, 2, 64, 4)
    assert header.kv_values_per_token == 2 * 2 * (16 + 16)  # layers × kv heads × (key + value length)
    assert (header.chat_template, header.shards, header.tensor_count) == (True, 1, 1)
    assert (header.parameters, header.tensor_bytes, header.quantisation) == (256, 1024, "F32")
    assert header.file_bytes == len(body)


def test_version_two_is_read_as_well() -> None:
    head = header_bytes(FACTS, [], version=2)
    assert read(head + bytes(64)).version == 2


def test_head_counts_per_layer_are_summed() -> None:
    header = read(with_facts(llama__attention__head_count_kv=[2, 1]))
    assert header.kv_values_per_token == 3 * 32


def test_explicit_key_and_value_lengths_outrank_the_quotient() -> None:
    header = read(with_facts(llama__attention__key_length=8, llama__attention__value_length=24))
    assert header.kv_values_per_token == 2 * 2 * 32


def test_without_a_file_type_the_heaviest_tensor_type_names_the_quantisation() -> None:
    tensors = [("a", (1024, 4), 12, 0), ("b", (8,), 0, 4 * 576)]
    head = header_bytes({key: value for key, value in FACTS.items() if key != "general.file_type"}, tensors)
    header = read(head + bytes(32 + 4 * 576 + 64))
    assert header.quantisation == "Q4_K"
    assert header.tensor_bytes == 4 * 576 + 32


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"GG", "not a GGUF"),
        (b"<!DOCTYPE html><html></html>", "not a GGUF"),
        (b"GGUF", "ends at byte 4"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(16), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), "tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63), "keys"),
        (header_bytes({}, []), "no architecture"),
        (header_bytes({**FACTS, "general.alignment": 3}, []), "power of two"),
        (header_bytes(FACTS, [("t", (2**40, 2**40), 0, 0)]) + bytes(64), "more elements"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**62), "name of"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + string("k") + struct.pack("<IQ", STRING, 2**62), "ends at byte"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + string("k") + struct.pack("<IIQ", ARRAY, U32, 2**62), "array of"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + string("k") + struct.pack("<IIQ", ARRAY, STRING, 2**20), "ends at"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + string("k") + struct.pack("<IIQ", ARRAY, ARRAY, 1), "type 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + string("k") + struct.pack("<I", 77), "type 77"),
    ],
)
def test_what_is_no_model_is_refused_in_words(body: bytes, says: str) -> None:
    with pytest.raises(BadModelFile, match=says):
        read(body)


def test_a_file_that_ends_before_its_last_tensor_is_cut_off() -> None:
    body = gguf_bytes()
    with pytest.raises(BadModelFile, match="cut off"):
        read(body[:-1])


def test_a_stream_shorter_than_promised_is_an_error_too() -> None:
    body = gguf_bytes()
    with pytest.raises(BadModelFile):
        read_header(io.BytesIO(body[:60]), len(body))


@given(cut=st.integers(min_value=0, max_value=len(gguf_bytes()) - 1))
def test_no_prefix_of_a_model_is_a_model(cut: int) -> None:
    with pytest.raises(BadModelFile):
        read(gguf_bytes()[:cut])


@settings(max_examples=400)
@given(data=st.data())
def test_damage_anywhere_gives_a_header_or_a_clear_error(data: st.DataObject) -> None:
    body = bytearray(gguf_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        header = read(bytes(body))
    except BadModelFile:
        return  # any other error fails the test
    assert header.file_bytes <= len(body)


@given(tail=st.binary(max_size=300))
def test_noise_after_the_magic_gives_a_clear_error_or_nothing_wild(tail: bytes) -> None:
    try:
        header = read(b"GGUF" + struct.pack("<I", 3) + tail)
    except BadModelFile:
        return
    assert header.file_bytes <= len(tail) + 8
