"""Plans: what waits, what runs, what came of it; confirm or cancel one."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from config.contracts.plans import Plan, Step
from scripts.cli.context import Context
from scripts.cli.door import Door, open_door

_LONGEST_RESULT = 2_000


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    verbs.add_parser("list", help="the latest plans (what stands for no verb)")
    for verb, words in (
        ("show", "a plan with its steps, and why it is as risky as it is"),
        ("confirm", "look at a waiting plan as things are now, and let it run"),
        ("cancel", "end a plan; of one that runs no further step begins"),
    ):
        verbs.add_parser(verb, help=words).add_argument("id", metavar="PLAN-ID")


def run(options: Namespace, context: Context) -> int:
    """Do it and say what came of it."""
    with open_door(context.settings) as door:
        context.terminal.say(act(options, door))
    return 0


def act(options: Namespace, door: Door) -> str:
    """Ask madre for what the command line says; what came of it, in words."""
    match options.verb:
        case "show":
            return in_detail(door.plan(options.id))
        case "confirm":
            reviewed = door.review_plan(options.id)
            confirmed = door.confirm_plan(options.id, reviewed.confirm_token or "")
            return f"{in_detail(reviewed)}\n{confirmed.plan_id} is {confirmed.status}"
        case "cancel":
            cancelled = door.cancel_plan(options.id)
            return f"{cancelled.plan_id} is {cancelled.status}"
    return "\n".join(in_words(plan) for plan in door.plans()) or "There are no plans."


def in_words(plan: Plan) -> str:
    """One line on a plan."""
    return f"{plan.plan_id}  {plan.status}  {plan.risk}  {plan.text.splitlines()[0][:80] if plan.text else ''}"


def in_detail(plan: Plan) -> str:
    """A plan with its steps."""
    reasons = [f"  because {reason}" for reason in plan.reasons]
    error = [f"  {plan.error.code}: {plan.error.detail}"] if plan.error else []
    return "\n".join([in_words(plan), *reasons, *map(_step, plan.steps), *error])


def _step(step: Step) -> str:
    told = ", ".join(f"{name}={value!r}" for name, value in step.arguments.items() if value not in (None, "", []))
    line = f"  {step.number}. {step.status}  {step.action}({told})"
    return f"{line}\n     {json.dumps(step.result, ensure_ascii=False)[:_LONGEST_RESULT]}" if step.result else line
