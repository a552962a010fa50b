"""What holds for clauses with moments, however they are put together."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from itertools import permutations, product

import pytest

from config.services import FLEET
from madre.language import Intent, Reading, read
from scripts.intents_accuracy import NOW

EACH = 200  # sentences of two clauses and of three, in each language
DAY, TWO_DAYS, TUESDAY = timedelta(days=1), timedelta(days=2), datetime(2026, 11, 24, tzinfo=UTC)
TOMORROW = datetime.combine(NOW + DAY, time(), UTC)


@dataclass(frozen=True, slots=True)
class Said:
    """A moment in words: `least` is the earliest it can mean, `later` how long after the one before it."""

    es: str
    en: str
    least: datetime | None = None
    later: timedelta | None = None
    is_hour: bool = False
    is_now: bool = False


NOTHING = Said("", "")
MOMENTS = (
    *(NOTHING, NOTHING, NOTHING),
    Said("mañana", "tomorrow", least=TOMORROW),
    Said("mañana a las 8", "tomorrow at 8", least=TOMORROW + timedelta(hours=8)),
    Said("el martes", "on tuesday", least=TUESDAY),
    Said("hoy", "today", least=NOW),
    Said("a las 9", "at 9", is_hour=True),
    Said("a las 18", "at 6pm", is_hour=True),
    Said("en 20 minutos", "in 20 minutes", later=timedelta(minutes=20)),
    Said("una hora después", "an hour later", later=timedelta(hours=1)),
    Said("dos días después", "two days later", later=TWO_DAYS),
    Said("ahora", "now", is_now=True),
    Said("inmediatamente", "immediately"),
)
ACTS = (
    ("abre switch", "open switch", "power.open_window"),
    ("ciérralo", "close it", "power.close_window"),
    ("apaga hermes", "stop hermes", "service.stop"),
    ("arranca hermes", "start hermes", "service.start"),
    ("carga gemma", "load gemma", "models.load"),
    ("borra gemma", "delete gemma", "models.delete"),
)


@dataclass(frozen=True, slots=True)
class Clause:
    """An act with a moment in front of it or behind it."""

    act: tuple[str, str, str]
    moment: Said
    leads: bool

    def text(self, language: int) -> str:
        """The clause in Spanish (0) or English (1)."""
        both = ((self.moment.es, self.moment.en)[language], self.act[language])
        return " ".join(both if self.leads else both[::-1]).strip()


@cache
def readings() -> tuple[tuple[str, tuple[Clause, ...], Reading], ...]:
    """Two and three clauses in one sentence, in both languages, as they are read."""
    one, draw = random.Random(5), []
    clauses = [Clause(*given) for given in product(ACTS, MOMENTS, (True, False))]
    for count, language in product((2, 3), (0, 1)):
        for acts in one.choices(list(permutations(ACTS, count)), k=EACH):
            said = tuple(one.choice([clause for clause in clauses if clause.act is act]) for act in acts)
            *first, last = (clause.text(language) for clause in said)
            text = ", ".join(first) + (" y ", " and ")[language] + last
            draw.append((text, said, read(text, now=NOW, services=tuple(FLEET))))
    return tuple(draw)


def at(reading: Reading, clause: Clause) -> datetime | None:
    """When the act of a clause is to be done; None where it is not."""
    found = [intent for intent in reading.intents if intent.action == clause.act[2]]
    return (found[0].not_before or NOW) if found else None


def carried(said: tuple[Clause, ...]) -> Iterator[tuple[Clause, Clause | None]]:
    """Each clause, and the one before it whose moment holds for it."""
    carrier: Clause | None = None
    for clause in said:
        yield clause, carrier
        if clause.moment.is_now:
            carrier = None if clause.leads else carrier
        elif clause.moment.least or clause.moment.later or clause.moment.is_hour:
            carrier = clause


def test_nothing_is_done_earlier_than_the_moment_before_it_without_a_plain_now() -> None:
    for text, said, reading in readings():
        for clause, carrier in carried(said):
            when, before = at(reading, clause), at(reading, carrier) if carrier else None
            if when is None or clause.moment.is_now:
                continue
            if clause.moment.least is not None:
                assert when >= clause.moment.least, text
            elif before is not None and clause.moment.is_hour:
                assert when.date() >= before.date(), text
            elif before is not None and clause.moment.later == TWO_DAYS:  # a day, whose hour may be said behind it
                assert when.date() >= (before + TWO_DAYS).date(), text
            elif before is not None:
                assert when >= before + (clause.moment.later or timedelta()), text


def test_acts_on_one_thing_keep_the_order_they_were_said_in() -> None:
    for text, said, reading in readings():
        order = [clause.act[2] for clause in said]
        for name in {intent.target for intent in reading.intents} - {None}:
            acts = [order.index(intent.action or "") for intent in reading.intents if intent.target == name]
            assert acts == sorted(acts), text


def test_what_is_due_first_goes_first() -> None:
    for text, _, reading in readings():
        moments = [max(intent.not_before or NOW, NOW) for intent in reading.intents]
        assert moments == sorted(moments), text


def test_where_nothing_is_done_nothing_of_the_sentence_is() -> None:
    for text, _, reading in readings():
        if any(warning.startswith("nothing is done") for warning in reading.warnings):
            assert reading.intents == (), text
            assert reading.withheld, text


def test_most_of_them_are_done() -> None:
    done = [reading for _, said, reading in readings() if len(reading.intents) == len(said)]
    assert len(done) > 0.6 * len(readings())


def intents(text: str) -> list[Intent]:
    return list(read(text, now=NOW, services=tuple(FLEET)).intents)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("on friday open switch and now close it", "'now close it' is due before 'on friday open switch'"),
        ("apaga hermes mañana y enciéndelo ahora", "'enciéndelo ahora' is due before 'apaga hermes mañana'"),
        ("stop hermes tomorrow. Start hermes now.", "'Start hermes now' is due before 'stop hermes tomorrow'"),
    ],
)
def test_acts_that_would_change_places_are_in_doubt_and_told_what_to_say(text: str, why: str) -> None:
    reading = read(text, now=NOW, services=tuple(FLEET))
    assert (reading.intents, len(reading.withheld)) == ((), 2)
    assert reading.warnings == (f"nothing is done: {why}, which was said first: say first what is to be done first",)


def test_a_condition_is_looked_at_when_the_act_is_due() -> None:
    found = intents("check for drift now and tomorrow if there is drift prepare a patch")
    assert [(one.action, one.not_before) for one in found] == [
        ("scan.drift", None),
        ("scan.drift", NOW + DAY),
        ("patch.plan", NOW + DAY),
    ]


def test_a_moment_at_the_end_is_of_no_act_before_the_one_it_takes_back() -> None:
    opened, loaded, closed = intents("abre switch, carga gemma y cierra switch mañana")
    assert (opened.not_before, loaded.not_before, closed.not_before) == (None, None, NOW + DAY)
    assert {one.warnings for one in (opened, loaded, closed)} == {()}
