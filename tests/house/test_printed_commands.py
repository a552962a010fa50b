"""Every command that the documents print is one: the command line's own parser takes it, and an order can succeed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from config.contracts.intents import Intent
from config.services import FLEET, present_services
from config.settings import Settings
from madre.actions import ACTIONS
from madre.draft import Ground, draft
from madre.flows.foreseeing import must_be_possible
from madre.lanes import BUILT_IN, by_name
from madre.language.reading import read
from madre.plan import Asked
from scripts.cli.__main__ import options_of
from scripts.cli.commands import COMMANDS
from tests.support.drafts import NOW, OPERATOR, world
from tests.support.tree import ROOT

DOCUMENTS = ("README.md", "README.es.md", "docs/operations.md")
FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")


def commands_in(code: str) -> Iterator[tuple[str, ...]]:
    """The words behind each `./vx11` of a piece of code, those in its comments too."""
    for line in code.splitlines():
        for typed in line.split("./vx11 ")[1:]:
            yield tuple(shlex.split(typed, comments=True))


def printed() -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Every command of the documents, by document; whether it stands in a block, to be typed as it is."""
    for document in DOCUMENTS:
        text = (ROOT / document).read_text()
        for block in FENCED.findall(text):
            yield from ((document, words, True) for words in commands_in(block))
        for span in SPAN.findall(FENCED.sub("", text)):
            yield from ((document, words, False) for words in commands_in(span))


PRINTED = sorted(set(printed()))
ORDERS = sorted({words for _, words, _ in PRINTED if words[0] == "intent" and len(words) > 1})


def test_there_are_some() -> None:
    assert {document for document, _, _ in PRINTED} == set(DOCUMENTS)
    assert len(ORDERS) >= 2


@pytest.mark.parametrize(("document", "words", "typed"), PRINTED, ids=str)
def test_a_printed_command_is_one(document: str, words: tuple[str, ...], typed: bool) -> None:
    name, *rest = words
    assert name in COMMANDS, document
    if typed or rest:  # in a sentence a command may be named without its verb
        options_of(COMMANDS[name], rest)


def test_what_is_no_command_would_be_found() -> None:
    (words,) = commands_in('./vx11 power open  # and so on: "')
    with pytest.raises(SystemExit):
        options_of(COMMANDS[words[0]], words[1:])


@pytest.mark.parametrize("words", ORDERS, ids=str)
def test_a_printed_order_is_understood_and_can_succeed_as_the_fleet_comes(words: tuple[str, ...]) -> None:
    order = " ".join(options_of(COMMANDS["intent"], words[1:]).words)
    acts = read(order, now=NOW, services=tuple(FLEET)).acts
    intents = [Intent.model_validate(asdict(one) | {"warnings": list(one.warnings)}) for one in acts]
    present = frozenset(service.name for service in present_services())
    ground = Ground(actions=ACTIONS, lanes=by_name(BUILT_IN), present=present, world=world())
    asked = Asked(OPERATOR.user, OPERATOR.role, order, "chat", "c")
    plan = draft(intents, asked, OPERATOR, ground, plan_id="plan-1", now=NOW)
    assert len(plan.steps) == len(acts) > 0
    must_be_possible(plan, Settings(allow_service_control=False))
