"""What plans are drawn up on: the rails, the rooms there are, and the house as it is at this moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from config.app import House
from config.auth import Caller, Scope
from config.contracts.power import ServiceState
from madre.actions import ACTIONS, Action
from madre.draft import Ground
from madre.risk import ANALYZERS, Analyzer
from madre.store import power, rails
from madre.store import world as store
from madre.world import World

Services = Callable[[], Mapping[str, ServiceState]]


class Grounds:
    """Looks at the house inside a unit of work, so that what a plan is judged by is one moment.

    `services` says how each service is; `actions`, `present` and `analyzers` are the seams of tests.
    """

    def __init__(
        self,
        house: House,
        services: Services,
        *,
        actions: Mapping[str, Action] = ACTIONS,
        present: Iterable[str] | None = None,
        analyzers: Iterable[Analyzer] = ANALYZERS,
    ) -> None:
        self._house = house
        self._services = services
        self.actions = actions
        self._present = frozenset(house.present if present is None else present)
        self._analyzers = tuple(analyzers)

    def ground(self, session: Session, arguments: Iterable[Mapping[str, Any]], caller: Caller) -> Ground:
        """All that drawing up needs; `arguments` are those of the steps, one mapping each."""
        return Ground(
            actions=self.actions,
            lanes=rails.lanes(session),
            present=self._present,
            world=self.world(session, arguments, caller),
            analyzers=self._analyzers,
        )

    def world(self, session: Session, arguments: Iterable[Mapping[str, Any]], caller: Caller) -> World:
        """The house as it is, as far as `caller` may know: another user's plans and tasks are not there."""
        told = list(arguments)
        return World(
            policy=power.policy(session) or self._house.settings.power.policy,
            services=self._services(),
            windows=tuple(power.live_windows(session)),
            models=store.known_models(session),
            plans=store.statuses_of_plans(session, _named("plan_id", told), _whose(caller, Scope.PLANS_ALL)),
            tasks=store.statuses_of_tasks(session, _named("task_id", told), _whose(caller, Scope.JOBS_ALL)),
        )


def _named(argument: str, told: list[Mapping[str, Any]]) -> list[str]:
    return [str(one[argument]) for one in told if one.get(argument)]


def _whose(caller: Caller, everybodys: Scope) -> str | None:
    return None if caller.may(everybodys) else caller.user
