"""The typed form: what it reads, what it refuses, and that it says everything an intent holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import Invalid
from madre.actions import ACTIONS, Domain, Risk
from madre.language import Intent, typed
from scripts.intents_accuracy import NOW, examples

INTENTS = [intent for example in examples() for intent in example.reading().intents]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def told(intent: Intent) -> Intent:
    """What the typed form carries: not how an intent was heard."""
    return replace(intent, confidence=1.0, original_text="", warnings=(), risk=Risk.LOW)


def test_an_intent_is_read() -> None:
    intent = typed.parse_typed(
        'VX11::POWER action="open_window" services="switch,hermes" ttl_sec="600" reason="a \\"test\\""'
    )
    assert (intent.domain, intent.action) == (Domain.POWER, "power.open_window")
    assert intent.parameters == {"services": ["switch", "hermes"], "ttl_sec": 600, "reason": 'a "test"'}
    assert intent.risk is Risk.LOW


def test_an_action_has_its_risk() -> None:
    assert typed.parse_typed('vx11::hermes action="models.delete" model="gemma"').risk is Risk.HIGH
    assert typed.parse_typed("VX11::HERMES action=delete model=gemma").action == "models.delete"


def test_an_action_that_is_not_registered_is_med_and_told() -> None:
    intent = typed.parse_typed('VX11::TASK action="explode"')
    assert (intent.action, intent.risk) == (None, Risk.MED)
    assert intent.warnings


def test_the_actions_own_domain_holds() -> None:
    assert typed.parse_typed('VX11::TASK action="models.delete" model="x"').domain is Domain.HERMES


@pytest.mark.parametrize("intent", INTENTS, ids=[intent.original_text[:50] for intent in INTENTS])
def test_what_a_sentence_came_to_can_be_written_down_and_read(intent: Intent) -> None:
    written = typed.print_typed(intent)
    assert told(typed.parse_typed(written)) == told(intent)
    assert typed.print_typed(typed.parse_typed(written)) == written


@given(prompt=TEXTS, target=TEXTS)
def test_any_text_comes_back(prompt: str, target: str) -> None:
    intent = Intent(Domain.TASK, "switch.ask", target=target, parameters={"prompt": prompt})
    assert told(typed.parse_typed(typed.print_typed(intent))) == told(intent)
    assert typed.parse_all(typed.print_typed(intent)) == (typed.parse_typed(typed.print_typed(intent)),)


@given(
    services=st.lists(st.text(max_size=10), max_size=4),
    ttl=st.floats(1, 3600) | st.integers(1, 3600),
    minutes=st.integers(0, 10_000),
)
def test_any_value_comes_back(services: list[str], ttl: float, minutes: int) -> None:
    moment = datetime.fromtimestamp(NOW.timestamp() + minutes * 60, UTC)
    parameters = {"services": services, "ttl_sec": ttl}
    intent = Intent(Domain.POWER, "power.open_window", parameters=parameters, condition="drift", not_before=moment)
    assert told(typed.parse_typed(typed.print_typed(intent))) == told(intent)


def test_every_action_can_be_written() -> None:
    for action in ACTIONS.values():
        assert typed.parse_typed(f'VX11::{action.domain} action="{action.name}"').action == action.name


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("VX11::NOWHERE action=x", "the domains are"),
        ('VX11::POWER action="x', 'expected key="value"'),
        ("VX11::POWER open it", 'expected key="value"'),
        ("VX11::POWER a=1 a=2", "given twice"),
        ('VX11::POWER action="power.state" not_before="soon"', "not_before is a time"),
        ('VX11::POWER action="power.state" not_before="2026-01-01T00:00:00"', "needs its zone"),
        ("open switch", "expected VX11::DOMAIN"),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(text: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        typed.parse_typed(text)
