"""Moments and spans, told that it is ten o'clock on a Saturday."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from madre.language.times import with_spans
from madre.language.words import Kind, Token, tokens_of

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def span(text: str, now: datetime = NOW) -> Token:
    found = [token for token in with_spans(tokens_of(text, ()), now) if token.kind is Kind.SPAN]
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("en 10 minutos", "2026-11-21T10:10"),
        ("dentro de media hora", "2026-11-21T10:30"),
        ("in two and a half hours", "2026-11-21T12:30"),
        ("2 hours from now", "2026-11-21T12:00"),
        ("10 minutos más tarde", "2026-11-21T10:10"),
        ("a las 15:30", "2026-11-21T15:30"),
        ("a las 8", "2026-11-22T08:00"),
        ("a la una de la tarde", "2026-11-21T13:00"),
        ("a las ocho y media de la tarde", "2026-11-21T20:30"),
        ("a las 9 menos cuarto de la noche", "2026-11-21T20:45"),
        ("at 3pm", "2026-11-21T15:00"),
        ("at noon", "2026-11-21T12:00"),
        ("at midnight", "2026-11-22T00:00"),
        ("mañana a las 8", "2026-11-22T08:00"),
        ("mañana", "2026-11-22T10:00"),
        ("mañana por la tarde", "2026-11-22T16:00"),
        ("pasado mañana a mediodía", "2026-11-23T12:00"),
        ("tomorrow at 8 in the morning", "2026-11-22T08:00"),
        ("at 8am tomorrow", "2026-11-22T08:00"),
        ("tonight", "2026-11-21T21:00"),
        ("esta noche", "2026-11-21T21:00"),
        ("el lunes a las 9", "2026-11-23T09:00"),
        ("el sábado a las 9", "2026-11-28T09:00"),
        ("next friday at noon", "2026-11-27T12:00"),
    ],
)
def test_moments(text: str, moment: str) -> None:
    assert span(text).moment == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("durante 10 minutos", 600),
        ("por una hora", 3600),
        ("for 90s", 90),
        ("hasta las 11", 3600),
        ("until 10:45", 2700),
        ("hasta mañana a las 10", 86_400),
    ],
)
def test_spans_of_time(text: str, seconds: float) -> None:
    assert span(text).seconds == seconds


@pytest.mark.parametrize("text", ["at 60", "8", "version 1.5", "la mañana", "en switch", "por favor", "15 modelos"])
def test_what_is_no_time(text: str) -> None:
    assert all(token.kind is not Kind.SPAN for token in with_spans(tokens_of(text, ()), NOW))


def test_times_are_in_the_zone_of_now() -> None:
    madrid = timezone(timedelta(hours=1))
    assert span("a las 15:00", NOW.astimezone(madrid)).moment == datetime(2026, 11, 21, 15, tzinfo=madrid)
