"""Drawing a plan up: from intents to steps that are registered, allowed and judged. Pure.

All or nothing: an intent that cannot be done leaves no plan, and the error says which one and why. Nothing is guessed:
no action of the registry, or no lane, is `lane_missing`; a room that this build does not hold is `service_absent`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from config.auth import Caller
from config.contracts.intents import Intent
from config.contracts.plans import Risk, Status, worst
from config.errors import Invalid, LaneMissing, NotFound, ServiceAbsent
from madre.actions import Action
from madre.lanes import Lane, Lanes, lane_of, must_keep_to
from madre.plan import MAX_STEPS, Asked, Plan, Step
from madre.risk import ANALYZERS, MOST_REASONS, Analyzer, Assessment, Deed, Opinion, assess
from madre.world import Change, Facts, World, facts


@dataclass(frozen=True, slots=True)
class Ground:
    """What a plan is drawn up on: the registry, the rails, the rooms of this build, and the house as it is."""

    actions: Mapping[str, Action]
    lanes: Lanes
    present: frozenset[str]
    world: World
    analyzers: Sequence[Analyzer] = ANALYZERS


def draft(
    intents: Sequence[Intent],
    asked: Asked,
    caller: Caller,
    ground: Ground,
    *,
    plan_id: str,
    now: datetime,
    opinions: Sequence[Opinion] = (),
) -> Plan:
    """The waiting plan that these intents come to; an error of the tree where one of them cannot be done.

    `opinions` are a model's, one for each intent; none where no model was asked.
    """
    if not 1 <= len(intents) <= MAX_STEPS:
        raise Invalid(f"A plan has 1 to {MAX_STEPS} steps; this one would have {len(intents)}.")
    if opinions and len(opinions) != len(intents):
        raise ValueError(f"{len(opinions)} opinions of {len(intents)} intents")
    _must_be_here(intents, caller, ground)
    held = dict(enumerate(opinions, start=1))
    drawn = [_drawn(number, intents, caller, ground, held.get(number)) for number in range(1, len(intents) + 1)]
    steps = tuple(step for step, _, _ in drawn)
    return Plan(
        plan_id=plan_id,
        asked=asked,
        steps=steps,
        risk=worst(*(step.risk for step in steps)),
        reasons=_reasons([judged for _, judged, _ in drawn]),
        status=Status.WAITING,
        observed={name: fact for _, _, found in drawn for name, fact in found.items()},
        created_at=now,
    )


def observe(plan: Plan, actions: Mapping[str, Action], world: World) -> Facts:
    """The facts that `plan` depends on, as they are in `world`."""
    found: Facts = {}
    for step in plan.steps:
        if action := actions.get(step.action):
            found |= facts(action, step.arguments, world)
    return found


def judged_again(plan: Plan, ground: Ground) -> list[Assessment]:
    """Each step of `plan`, judged in the house as it is now.

    Only the house can have changed: what the sentence was worth is in the plan's risk already, and the person whom a
    lane asks for is there, because it is for them that a plan is looked at again.
    """
    return [
        assess(
            Deed(
                action=_still_there(step.action, ground),
                arguments=step.arguments,
                lane=None,
                world=ground.world,
                user=plan.user,
                heard=1.0,
                said=Risk.LOW,
                steps=len(plan.steps),
            ),
            ground.analyzers,
        )
        for step in plan.steps
    ]


def _still_there(name: str, ground: Ground) -> Action:
    if name not in ground.actions:
        raise LaneMissing(f"There is no action called {name!r} any more.", hint="Cancel the plan.")
    return ground.actions[name]


def grown(plan: Plan, judged: Sequence[Assessment]) -> list[Change]:
    """Where a step is riskier than `plan` says, or for a reason that it does not tell.

    A plan that has more reasons than it tells is held to its risks alone.
    """
    tells_all = len(plan.reasons) < MOST_REASONS
    found = []
    for step, now in zip(plan.steps, judged, strict=True):
        new = [one for one in now.reasons if _told_of(step.number, one, len(plan.steps)) not in plan.reasons]
        is_worse = worst(step.risk, now.risk) is not step.risk
        if is_worse or (new and tells_all):
            why = "; ".join(new or [now.risk.value])
            found.append(Change(f"risk of step {step.number} ({step.action})", step.risk.value, why))
    return found


def reviewed(plan: Plan, ground: Ground) -> Plan:
    """`plan` against the house as it is now: what it depends on, and the risk, never less than it was."""
    judged = judged_again(plan, ground)
    steps = tuple(replace(step, risk=worst(step.risk, now.risk)) for step, now in zip(plan.steps, judged, strict=True))
    return replace(
        plan,
        steps=steps,
        risk=worst(*(step.risk for step in steps)),
        reasons=tuple(dict.fromkeys([*_reasons(judged), *plan.reasons])),
        observed=observe(plan, ground.actions, ground.world),
    )


def _drawn(
    number: int, intents: Sequence[Intent], caller: Caller, ground: Ground, opinion: Opinion | None
) -> tuple[Step, Assessment, Facts]:
    intent = intents[number - 1]
    action, lane = _led_to(intent, caller, ground)
    _must_have_been_found(number, intents, ground)
    arguments = arguments_of(action, intent)
    judged = assess(
        Deed(
            action=action,
            arguments=arguments,
            lane=lane,
            world=ground.world,
            user=caller.user,
            heard=intent.confidence,
            said=intent.risk,
            steps=len(intents),
            opinion=opinion,
        ),
        ground.analyzers,
    )
    step = Step(
        number=number,
        action=action.name,
        step_type=action.step_type,
        arguments=arguments,
        risk=judged.risk,
        condition=intent.condition,
        not_before=intent.not_before,
    )
    return step, judged, facts(action, arguments, ground.world)


def _led_to(intent: Intent, caller: Caller, ground: Ground) -> tuple[Action, Lane]:
    """The action an intent leads to, once the caller may do it and its lane allows it."""
    action = ground.actions.get(intent.action or "")
    if action is None:
        raise _leads_nowhere(intent, ground)
    caller.require(action.scope)
    lane = lane_of(ground.lanes, action)
    must_keep_to(lane, action)
    return action, lane


def _must_be_here(intents: Sequence[Intent], caller: Caller, ground: Ground) -> None:
    """ServiceAbsent, naming every room that is missing, once all else that leads to them is in order."""
    led = [_led_to(intent, caller, ground)[0] for intent in intents]
    away = [action for action in led if action.owner not in ground.present]
    if not away:
        return
    rooms = list(dict.fromkeys(action.owner for action in away))
    told = "; ".join(f"'{action.title}' is {action.owner}'s to do" for action in dict.fromkeys(away))
    which = "a room" if len(rooms) == 1 else "rooms"
    raise ServiceAbsent(
        f"{told}: {which} that this build of VX11 does not hold.",
        hint="Order the rest without that: GET /vx11/status says which rooms there are."
        if len(away) < len(led)
        else f"GET /vx11/status says which rooms there are; once it holds {' and '.join(rooms)}, say it again.",
        extra={"absent": rooms},
    )


def _leads_nowhere(intent: Intent, ground: Ground) -> LaneMissing:
    near = difflib.get_close_matches(intent.action or "", ground.actions, n=3, cutoff=0.5)
    named = f"called {intent.action!r}" if intent.action else f"for {intent.original_text[:200]!r}"
    return LaneMissing(
        f"There is no action {named}, so nothing is done.",
        hint=f"Is it {' or '.join(near)}?" if near else "Say it in other words.",
    )


def _must_have_been_found(number: int, intents: Sequence[Intent], ground: Ground) -> None:
    """Invalid for a condition that no step before can find."""
    condition = intents[number - 1].condition
    if condition is None:
        return
    before = [ground.actions[earlier.action or ""] for earlier in intents[: number - 1]]
    if not any(condition in action.finds for action in before):
        raise Invalid(
            f"Step {number} depends on {condition!r}, which no step before it looks for.",
            hint="Say first what is to be looked at.",
        )


def arguments_of(action: Action, intent: Intent) -> dict[str, Any]:
    """What the action is told, checked and with its defaults, as JSON."""
    try:
        told = action.arguments.model_validate(intent.parameters)
    except NotFound as error:  # of the service that an argument names
        raise Invalid(f"{action.name} cannot be told this: {error.detail}", hint=error.hint) from error
    except ValidationError as error:
        errors = [
            {"field": ".".join(map(str, one["loc"])) or "arguments", "message": one["msg"]} for one in error.errors()
        ]
        listed = "; ".join(f"{one['field']}: {one['message']}" for one in errors)
        raise Invalid(f"{action.name} cannot be told this: {listed}.", errors=errors) from error
    return told.model_dump(mode="json")


def _reasons(assessments: Sequence[Assessment]) -> tuple[str, ...]:
    """Every reason once, those of the gravest steps first, with the step's number where there are several."""
    numbered = [
        (judged.risk, _told_of(number, reason, len(assessments)))
        for number, judged in enumerate(assessments, start=1)
        for reason in judged.reasons
    ]
    gravest = sorted(numbered, key=lambda one: -list(Risk).index(one[0]))
    return tuple(dict.fromkeys(reason for _, reason in gravest))[:MOST_REASONS]


def _told_of(number: int, reason: str, steps: int) -> str:
    return f"step {number}: {reason}" if steps > 1 else reason
