"""What a sentence comes to: intents, and how the sentence was meant."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from madre.actions import Domain, Risk


@dataclass(frozen=True, slots=True)
class Intent:
    """One thing that is asked for, `action` None where nothing of the registry was recognised.

    `parameters` are what was said of the action's arguments, as JSON has them; they are checked when a plan is drawn
    up. `target` is the one that stands for the rest in a list: a model, a service, a file. `confidence` is from 0 to 1.
    `condition` names what the steps before must have found for this one to be done ("drift"). `not_before` is the
    moment it is asked for, in UTC; None: now. `risk` is the least that the words allow, whatever is thought of the
    action; a plan's risk is never below it.
    """

    domain: Domain
    action: str | None
    target: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    confidence: float = 1.0
    original_text: str = ""
    warnings: tuple[str, ...] = ()
    condition: str | None = None
    not_before: datetime | None = None
    risk: Risk = Risk.MED


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as it was read. Only `intents` may be acted on.

    `withheld` are the acts that the text speaks of without asking for them: in a question, negated, under a condition
    that nobody can check. They are there to be shown ("shall I?"), never to be done.
    """

    intents: tuple[Intent, ...] = ()
    is_question: bool = False
    is_negated: bool = False
    warnings: tuple[str, ...] = ()
    withheld: tuple[Intent, ...] = ()

    @property
    def acts(self) -> tuple[Intent, ...]:
        """The intents whose action is known."""
        return tuple(intent for intent in self.intents if intent.action is not None)
