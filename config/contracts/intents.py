"""Intents on the wire: what one part of a sentence asks for (CONTRACT, section 5)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from config.contracts.base import Answer, Timestamp
from config.contracts.plans import Risk


class Domain(StrEnum):
    """What an action is about; the first word of the typed form, `VX11::POWER …`."""

    TASK = "TASK"
    AUDIO = "AUDIO"
    PATCH = "PATCH"
    SCAN = "SCAN"
    HERMES = "HERMES"
    SHUB = "SHUB"
    HORMIGUERO = "HORMIGUERO"
    OPERATOR = "OPERATOR"
    POWER = "POWER"


class Intent(Answer):
    """One thing that is asked for. `action` is null where nothing of the registry was recognised.

    `condition` names what the steps before must have found (`drift`, `incidents`, `problems`) for this one to be done.
    `not_before` is the moment it was asked for, if that is later than now. `risk` is the least that the words allow.
    """

    domain: Domain
    action: str | None
    target: str | None = None
    parameters: dict[str, Any] = {}
    confidence: float
    original_text: str
    warnings: list[str] = []
    condition: str | None = None
    not_before: Timestamp | None = None
    risk: Risk = Risk.MED
