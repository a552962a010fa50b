"""The arithmetic of a model in memory."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import NotEnoughMemory
from hermes.fits import CONVERSATIONS, OVERHEAD_MB, Machine, ensure_fits, memory_need, need_of
from hermes.gguf import read_header
from switch.choose import ModelFile, context_of, need_mb
from tests.support.gguf import gguf_bytes

MODEL = gguf_bytes()
HEADER = replace(read_header(io.BytesIO(MODEL), len(MODEL)), context_length=8192, kv_values_per_token=1 << 10)
MIB = 1 << 20


def test_the_sum_is_told_part_by_part() -> None:
    need = memory_need(HEADER, 100 * MIB, Machine(budget_mb=300, context_tokens=4096, parallel=4, prefix_ram_mb=10))
    assert (need.file_mb, need.kv_mb, need.around_mb) == (100, 17, OVERHEAD_MB + 10)  # 2 × 4096 × 1024 × 2 bytes, and 1
    assert need.fits
    assert "= 217 MiB, which fits the budget of 300 MiB." in need.said


@given(st.integers(1, 1 << 40), st.none() | st.integers(1, 1 << 20), st.integers(0, 1 << 17), st.integers(0, 500))
def test_it_is_what_switch_reserves(size: int, values: int | None, trained_for: int, prefix_ram_mb: int) -> None:
    """Two rooms, one figure: a model that hermes lets in must be one that Switch can load."""
    machine = Machine(1000, 4096, 4, prefix_ram_mb)
    file = ModelFile("m", "m.gguf", size, "0" * 64, trained_for, 0, values)
    reserved = need_mb(file, context_of(file, 4096) * CONVERSATIONS, prefix_ram_mb)
    assert need_of(size, trained_for or None, values, machine).need_mb == reserved


def test_a_model_trained_for_less_needs_less() -> None:
    short = replace(HEADER, context_length=512)
    assert memory_need(short, MIB, Machine(300, 4096, 4)).context_tokens == 512
    assert memory_need(short, MIB, Machine(300, 4096, 1)).conversations == 1


def test_a_header_that_does_not_tell_its_layers_is_guessed() -> None:
    need = memory_need(replace(HEADER, kv_values_per_token=None), 100 * MIB, Machine(300, 4096, 4))
    assert (need.kv_mb, need.kv_is_guessed) == (26, True)


def test_a_refusal_holds_the_arithmetic() -> None:
    need = memory_need(HEADER, 1000 * MIB, Machine(300, 4096, 4))
    with pytest.raises(NotEnoughMemory, match="807 MiB too many for the budget of 300 MiB") as refused:
        ensure_fits("big", need)
    assert refused.value.extra == {"need_mb": 1107, "budget_mb": 300}


@given(st.integers(1, 1 << 40), st.integers(64, 1 << 20), st.integers(256, 1 << 17), st.integers(1, 32))
def test_more_of_anything_never_needs_less(size: int, budget: int, context: int, parallel: int) -> None:
    machine = Machine(budget, context, parallel)
    need = memory_need(HEADER, size, machine)
    assert need.fits == (need.need_mb <= budget)
    assert memory_need(HEADER, size + MIB, machine).need_mb > need.need_mb
    assert memory_need(HEADER, size, replace(machine, context_tokens=context + 1)).need_mb >= need.need_mb
