"""Declared memory must fit, and the refusal shows the sum."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import NotEnoughMemory
from madre.admission import admit

DECLARED = {"tentaculo_link": 128, "madre": 128, "switch": 128, "shub": 512}


def test_the_refusal_spells_the_arithmetic_out() -> None:
    with pytest.raises(NotEnoughMemory) as refused:
        admit(["switch", "madre", "shub"], DECLARED, 700)
    assert refused.value.detail == (
        "madre 128 + shub 512 + switch 128 = 768 MiB, and the budget is 700 MiB: 68 MiB too much."
    )
    assert refused.value.extra == {"wanted_mb": 768, "budget_mb": 700}


@given(st.lists(st.sampled_from(sorted(DECLARED))), st.integers(0, 1500))
def test_it_admits_exactly_what_fits_however_often_a_service_is_named(wanted: list[str], budget_mb: int) -> None:
    total = sum(DECLARED[service] for service in set(wanted))
    if total <= budget_mb:
        admit(wanted, DECLARED, budget_mb)
    else:
        with pytest.raises(NotEnoughMemory):
            admit(wanted, DECLARED, budget_mb)
