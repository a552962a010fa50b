"""The registry: everything that the house can be asked to do, one row each.

Plans, risks, confirmation, the grammar, the model's schema and the tools of other programs are made from these rows.
To add an action is to add a row with its phrases, and an executor (`madre/flows/steps.py`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from config.errors import NotFound
from madre.actions import models, power, rooms, system, tasks
from madre.actions.action import Action, Arguments, Domain, Heard, Risk, StepType

__all__ = ["ACTIONS", "Action", "Arguments", "Domain", "Heard", "Risk", "StepType", "action_named"]

ACTIONS: Mapping[str, Action] = MappingProxyType(
    {row.name: row for table in (power, system, models, tasks, rooms) for row in table.ROWS}
)


def action_named(name: str) -> Action:
    """The action called `name`; NotFound, with the names that are near, for any other word."""
    try:
        return ACTIONS[name]
    except KeyError:
        near = difflib.get_close_matches(name, ACTIONS, n=3, cutoff=0.5) or list(ACTIONS)
        raise NotFound(f"There is no action called {name!r}.", hint=f"One of: {', '.join(near)}.") from None
