"""Moments and spans, told that it is ten o'clock on a Saturday."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from madre.language import read
from madre.language.times import at_one_time, with_spans
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
        ("on monday morning", "2026-11-23T09:00"),
        ("este viernes", "2026-11-27T10:00"),
        ("this coming friday", "2026-11-27T10:00"),
        ("el próximo lunes", "2026-11-23T10:00"),
        ("el lunes que viene por la tarde", "2026-11-23T16:00"),
        ("el martes siguiente a las 9", "2026-11-24T09:00"),
        ("this saturday at 15:00", "2026-11-21T15:00"),
        ("next saturday at 15:00", "2026-11-28T15:00"),
        ("friday next week", "2026-11-27T10:00"),
        ("el viernes de la semana que viene", "2026-11-27T10:00"),
        ("a las 8 y veinte", "2026-11-22T08:20"),
        ("a las 8 y 20 de la tarde", "2026-11-21T20:20"),
        ("a las ocho y media", "2026-11-22T08:30"),
        ("a las 8 menos cuarto", "2026-11-22T07:45"),
        ("a las 9 menos diez de la noche", "2026-11-21T20:50"),
        ("a las veinte y cinco", "2026-11-21T20:05"),
        ("a las 20 horas", "2026-11-21T20:00"),
        ("a las 12 de la noche", "2026-11-22T00:00"),
        ("a las 12 de la mañana", "2026-11-21T12:00"),
        ("at half past eight", "2026-11-22T08:30"),
        ("half past 8 pm", "2026-11-21T20:30"),
        ("quarter to nine", "2026-11-22T08:45"),
        ("at a quarter past nine", "2026-11-22T09:15"),
        ("at ten to one", "2026-11-22T00:50"),
        ("at eight thirty", "2026-11-22T08:30"),
        ("at 3 p.m.", "2026-11-21T15:00"),
        ("at 3 p.m. tomorrow", "2026-11-22T15:00"),
        ("at 9 tonight", "2026-11-21T21:00"),
        ("tonight at 1", "2026-11-22T01:00"),
        ("por la mañana", "2026-11-22T09:00"),
        ("in the evening", "2026-11-21T20:00"),
        ("today at 10", "2026-11-21T10:00"),
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


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("today at 8", "is over"),
        ("hoy a las 9", "is over"),
        ("esta mañana", "is over"),
        ("hasta las 8 hoy", "is over"),
        ("hace una hora", "is over"),
        ("an hour ago", "is over"),
        ("los lunes", "is more than once"),
        ("todos los sábados", "is more than once"),
        ("on Mondays", "is more than once"),
        ("every friday", "is more than once"),
        ("a week from friday", "is no day that is known here"),
        ("una semana después del lunes", "is no day that is known here"),
        ("next week", "is no day that is known here"),
        ("31 de diciembre", "is no day that is known here"),
        ("december 31st", "is no day that is known here"),
        ("en diciembre", "is no day that is known here"),
        ("2026-12-31", "is no day that is known here"),
    ],
)
def test_what_cannot_be_meant_says_why(text: str, why: str) -> None:
    doubted = span(text)
    assert doubted.doubt is not None
    assert doubted.doubt.startswith(f"{text!r} {why}")
    assert (doubted.moment, doubted.seconds) == (None, None)


@pytest.mark.parametrize(
    ("text", "later"),
    [
        ("en 10 minutos", True),
        ("10 minutos después", True),
        ("two days later", True),
        ("2 hours from now", False),
        ("de aquí a 10 minutos", False),
        ("a las 15:30", False),
    ],
)
def test_what_is_later_than_something_said_is_told_from_what_is_from_now(text: str, later: bool) -> None:
    assert span(text).later is later


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("en tres días a las 9", "2026-11-24T09:00"),
        ("a las 9 dentro de una semana", "2026-11-28T09:00"),
        ("mañana abre switch a las 9", "2026-11-22T09:00"),
        ("el lunes abre switch a las 9 y media", "2026-11-23T09:30"),
        ("hoy abre switch a las 18", "2026-11-21T18:00"),
    ],
)
def test_a_day_and_an_hour_said_apart_are_one_moment(text: str, moment: str) -> None:
    tokens, why = at_one_time(with_spans(tokens_of(text, ()), NOW))
    assert why is None
    found = {token.moment for token in tokens if token.kind is Kind.SPAN}
    assert found == {datetime.fromisoformat(moment).replace(tzinfo=UTC)}


@pytest.mark.parametrize("text", ["in 2 hours at 9", "hoy abre switch a las 8", "at 9 and at 10", "at 8 in an hour"])
def test_two_moments_that_cannot_both_be_meant_are_in_doubt(text: str) -> None:
    assert at_one_time(with_spans(tokens_of(text, ()), NOW))[1] is not None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("open switch today at 8", "'today at 8' is over"),
        ("cierra la ventana hoy a las 9", "'hoy a las 9' is over"),
        ("abre switch hace una hora", "'hace una hora' is over"),
        ("open switch in 2 hours at 9", "'in 2 hours' and 'at 9' are two moments"),
        ("hoy abre switch a las 8", "'hoy' and 'a las 8' are over"),
        ("abre switch los lunes a las 9", "'los lunes' is more than once: nothing here does a thing again by itself"),
        ("abre switch cada día a las 9", "'cada' is more than once: nothing here does a thing again by itself"),
    ],
)
def test_an_order_at_a_doubtful_moment_is_not_done_and_says_why(text: str, why: str) -> None:
    reading = read(text, now=NOW, services=("switch",))
    assert reading.acts == ()
    assert {intent.action for intent in reading.withheld} <= {"power.open_window", "power.close_window"}
    assert reading.warnings == (f"nothing is done: {why}",)


def test_hours_pass_and_days_keep_their_hour_where_clocks_change() -> None:
    saturday = datetime(2026, 10, 24, 12, 0, tzinfo=ZoneInfo("Europe/Madrid"))  # an hour longer is the night
    assert span("in 24 hours", saturday).moment == datetime(2026, 10, 25, 10, 0, tzinfo=UTC)
    assert span("in a day", saturday).moment == datetime(2026, 10, 25, 11, 0, tzinfo=UTC)
    assert span("tomorrow", saturday).moment == datetime(2026, 10, 25, 11, 0, tzinfo=UTC)
    assert span("until tomorrow at 12", saturday).seconds == 25 * 3600


@pytest.mark.parametrize("text", ["at 60", "8", "version 1.5", "la mañana", "en switch", "por favor", "15 modelos"])
def test_what_is_no_time(text: str) -> None:
    assert all(token.kind is not Kind.SPAN for token in with_spans(tokens_of(text, ()), NOW))


def test_a_day_of_the_week_is_that_of_the_zone() -> None:
    late = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)  # Monday already, in Madrid
    assert span("on monday at 9", late).moment == datetime(2026, 11, 23, 9, tzinfo=UTC)
    madrid = late.astimezone(ZoneInfo("Europe/Madrid"))
    assert span("on monday at 9", madrid).moment == datetime(2026, 11, 23, 8, tzinfo=UTC)
    assert span("next monday at 9", madrid).moment == datetime(2026, 11, 30, 8, tzinfo=UTC)
    assert span("friday next week", madrid).moment == datetime(2026, 12, 3, 23, 30, tzinfo=UTC)


def test_times_are_in_the_zone_of_now() -> None:
    madrid = timezone(timedelta(hours=1))
    assert span("a las 15:00", NOW.astimezone(madrid)).moment == datetime(2026, 11, 21, 15, tzinfo=madrid)
