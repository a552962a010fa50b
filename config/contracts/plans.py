"""Plans on the wire: what a sentence became, how risky it is, what each step did (CONTRACT, section 5).

The vocabulary that madre's registry, plans and runner share with their callers stands here too, so that a page or a
tool means the same by `WAITING` or `HIGH`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from config.contracts.base import Answer, Request, Timestamp

Source = Annotated[str, Field(max_length=32, pattern=r"^[\w.-]*$")]


class Risk(StrEnum):
    """How much harm an act can do; MED and HIGH wait for a confirmation. Compare with `worst`, not with `<`."""

    LOW = "LOW"
    MED = "MED"
    HIGH = "HIGH"


class Status(StrEnum):
    """Where a plan or a step is in its life; DONE, ERROR and CANCELLED are the ends."""

    PENDING = "PENDING"
    WAITING = "WAITING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self in (Status.DONE, Status.ERROR, Status.CANCELLED)


class StepType(StrEnum):
    """Who does a step, and how."""

    CALL_SWITCH = "CALL_SWITCH"
    CALL_HERMES = "CALL_HERMES"
    CALL_HORMIGUERO = "CALL_HORMIGUERO"
    CALL_MANIFESTATOR = "CALL_MANIFESTATOR"
    CALL_SHUB = "CALL_SHUB"
    CALL_BROWSER = "CALL_BROWSER"
    SPAWNER_REQUEST = "SPAWNER_REQUEST"
    POWER_WINDOW = "POWER_WINDOW"
    SYSTEM_HEALTHCHECK = "SYSTEM_HEALTHCHECK"
    NOOP = "NOOP"


def worst(*risks: Risk) -> Risk:
    """The highest of `risks`; LOW of none."""
    return max(risks, key=tuple(Risk).index, default=Risk.LOW)


class Fault(Answer):
    """Why a plan or a step ended badly, or cannot begin: a code of the error tree, `lane_missing` among them."""

    code: str
    detail: str


class Step(Answer):
    """One step of a plan: a registered action with its arguments. Numbers count from 1.

    `condition` names what an earlier step must have found for this one to run; a step that was not needed ends
    CANCELLED. `not_before` is the moment it was asked for. `risk` is its own part of the plan's.
    """

    number: int
    action: str
    title: str
    owner: str
    step_type: StepType
    arguments: dict[str, Any]
    condition: str | None
    not_before: Timestamp | None
    risk: Risk
    reversible: bool
    status: Status
    result: dict[str, Any] | None
    error: Fault | None
    started_at: Timestamp | None
    finished_at: Timestamp | None
    undone_at: Timestamp | None


class Plan(Answer):
    """A plan with its steps. `reasons` say why the risk is what it is; `plan_hash` is what a confirmation is bound to,
    and to `facts`: what the steps depend on, as it was when the plan was drawn up or last reviewed.

    `confirm_token` is there once, in the answer that drew the plan up or reviewed it, for whoever may confirm it.
    """

    plan_id: str
    user: str
    text: str
    source: str
    session_id: str | None
    correlation_id: str
    status: Status
    risk: Risk
    reasons: list[str]
    plan_hash: str
    facts: dict[str, str] = Field(default_factory=dict)
    steps: list[Step]
    error: Fault | None
    created_at: Timestamp
    confirmed_at: Timestamp | None
    started_at: Timestamp | None
    finished_at: Timestamp | None
    confirm_token: str | None = None
    confirm_until: Timestamp | None = None


class PlanConfirm(Request):
    """Let a waiting plan run; the token is the one that came with exactly this plan."""

    confirm_token: Annotated[str, Field(min_length=1, max_length=256)]


class PlanCancel(Request):
    """End a plan; a step that runs is stopped where its owner can."""

    reason: Annotated[str, Field(max_length=256)] = ""


class Control(Request):
    """One registered action by name: `target` is whom or what, `params` the rest of its arguments.

    What needs a confirmation answers WAITING with a token; the same body with that token runs it.
    """

    target: Annotated[str, Field(max_length=256)] = ""
    action: Annotated[str, Field(min_length=1, max_length=64)]
    params: dict[str, Any] = Field(default_factory=dict)
    confirm_token: Annotated[str, Field(min_length=1, max_length=256)] | None = None
