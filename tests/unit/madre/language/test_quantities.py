"""Numbers, durations and amounts of memory, in digits and words."""

from __future__ import annotations

import pytest

from madre.language.quantities import duration_at, memory_at, number_at
from madre.language.words import tokens_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("25", 25),
        ("1,5", 1.5),
        ("1.5", 1.5),
        ("cero", 0),
        ("veinticinco", 25),
        ("treinta y cinco", 35),
        ("ciento veinte", 120),
        ("doscientos cincuenta", 250),
        ("dos mil", 2000),
        ("mil quinientos", 1500),
        ("twenty five", 25),
        ("twenty-five", 25),
        ("a hundred and twenty", 120),
        ("three hundred", 300),
        ("five thousand", 5000),
    ],
)
def test_numbers(text: str, number: float) -> None:
    tokens = tokens_of(text, ())
    assert number_at(tokens, 0) == (number, len(tokens))


@pytest.mark.parametrize("text", ["gemma", "switch", "y cinco", "", "270m", "-"])
def test_what_is_no_number(text: str) -> None:
    assert number_at(tokens_of(text, ()), 0) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10min", 600),
        ("1h30m", 5400),
        ("1h30", 5400),
        ("60 segundos", 60),
        ("un minuto", 60),
        ("diez minutos", 600),
        ("media hora", 1800),
        ("hora y media", None),
        ("una hora y media", 5400),
        ("dos horas y cuarto", 8100),
        ("tres cuartos de hora", 2700),
        ("un cuarto de hora", 900),
        ("un par de minutos", 120),
        ("dos horas y 20 minutos", 8400),
        ("minuto", None),
        ("1,5 horas", 5400),
        ("half an hour", 1800),
        ("an hour and a half", 5400),
        ("two and a half hours", 9000),
        ("a quarter of an hour", 900),
        ("a couple of minutes", 120),
        ("twenty-five minutes", 1500),
        ("2 days", 172_800),
        ("a week", 604_800),
        ("270m", None),
        ("ten", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    tokens = tokens_of(text, ())
    assert duration_at(tokens, 0) == (None if seconds is None else (seconds, len(tokens)))


@pytest.mark.parametrize(
    ("text", "mebibytes"),
    [("256 MB", 256), ("512mb", 512), ("2 gigas", 2048), ("un giga", 1024), ("1.5 GB", 1536), ("256", None)],
)
def test_memory(text: str, mebibytes: float | None) -> None:
    tokens = tokens_of(text, ())
    assert memory_at(tokens, 0) == (None if mebibytes is None else (mebibytes, len(tokens)))
