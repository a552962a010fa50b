"""Plans: what waits, what runs, what came of it; confirm or cancel one."""

from __future__ import annotations

import json
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator

from config.auth import EVERYBODY
from config.contracts.plans import Plan, Status, Step
from scripts.cli.asking import Ask, asker
from scripts.cli.context import Context
from scripts.cli.door import Door, open_door
from scripts.terminal import Terminal

_LONGEST_RESULT = 2_000
_HASH = re.compile(r"[0-9a-f]{8,64}")
_SHOWN_OF_HASH = 12
_GONE = "there is none"
_NOT_CONFIRMED = 1
_NOT_THIS_ONE = 2


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.set_defaults(user=None)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    listing = verbs.add_parser("list", help="your latest plans (what stands for no verb)")
    whose = listing.add_mutually_exclusive_group()
    whose.add_argument("--user", metavar="NAME", help="those of this user; that you looked is on record")
    whose.add_argument("--all", dest="user", action="store_const", const=EVERYBODY, help="everybody's, on record")
    verbs.add_parser("show", help="a plan with its steps, and why it is as risky as it is").add_argument(
        "id", metavar="PLAN-ID"
    )
    confirming = verbs.add_parser("confirm", help="see a waiting plan as things are now, and say whether it may run")
    confirming.add_argument("id", metavar="PLAN-ID")
    confirming.add_argument(
        "--yes",
        type=_hash,
        metavar="HASH",
        help="without being asked, if its hash begins so and nothing has changed since it was last shown",
    )
    verbs.add_parser("cancel", help="end a plan; of one that runs no further step begins").add_argument(
        "id", metavar="PLAN-ID"
    )


def run(options: Namespace, context: Context) -> int:
    """Do it and say what came of it; of `confirm` the exit code says whether the plan runs."""
    with open_door(context.settings) as door:
        if options.verb == "confirm":
            ask = asker(context.terminal, sys.stdin)
            return confirm(options.id, options.yes, door, context.terminal, ask)
        context.terminal.say(act(options, door))
    return 0


def act(options: Namespace, door: Door) -> str:
    """Ask madre for what the command line says; what came of it, in words."""
    match options.verb:
        case "show":
            return in_detail(door.plan(options.id))
        case "cancel":
            cancelled = door.cancel_plan(options.id)
            return f"{cancelled.plan_id} is {cancelled.status}"
    return "\n".join(in_words(plan) for plan in door.plans(options.user)) or "There are no plans."


def confirm(plan_id: str, named: str | None, door: Door, terminal: Terminal, ask: Ask | None) -> int:
    """Show the plan as things are now, and let it run if that is what somebody agrees to; the exit code.

    Whoever is asked has seen it whole, with what is otherwise than when it was last shown. Whoever names its hash
    instead has seen it before, so nothing may be otherwise.
    """
    before, plan = door.plan(plan_id), door.review_plan(plan_id)
    changes = list(differences(before, plan))
    terminal.say(in_detail(plan))
    if changes:
        terminal.say("\n".join(["Since it was last shown:", *(f"  {change}" for change in changes)]))
    if named is None and ask is not None:
        if not ask("Let it run?"):
            terminal.say(f"{plan.plan_id} still waits.")
            return _NOT_CONFIRMED
    elif (refusal := _refusal(plan, named, changes)) is not None:
        terminal.say(f"{refusal} If this is what you want: {line_for(plan)}")
        return _NOT_THIS_ONE
    confirmed = door.confirm_plan(plan_id, plan.confirm_token or "")
    terminal.say(f"{confirmed.plan_id} is {confirmed.status}")
    return 0


def line_for(plan: Plan) -> str:
    """What to type to have exactly this plan run."""
    return f"./vx11 plans confirm {plan.plan_id} --yes {plan.plan_hash[:_SHOWN_OF_HASH]}"


def differences(before: Plan, now: Plan) -> Iterator[str]:
    """What a review found otherwise: the risk, the content, reasons, and the facts that the plan depends on."""
    if before.risk != now.risk:
        yield f"the risk was {before.risk}, and is {now.risk}"
    elif before.plan_hash != now.plan_hash:
        yield f"the hash was {before.plan_hash[:_SHOWN_OF_HASH]}, and is {now.plan_hash[:_SHOWN_OF_HASH]}"
    yield from (_plain(f"new: {reason}") for reason in now.reasons if reason not in before.reasons)
    for what in sorted({*before.facts, *now.facts}):
        was, is_now = before.facts.get(what, _GONE), now.facts.get(what, _GONE)
        if was != is_now:
            yield _plain(f"{what} was {was}, and is {is_now}")


def in_words(plan: Plan) -> str:
    """One line on a plan."""
    text = plan.text.splitlines()[0][:80] if plan.text else ""
    return _plain(f"{plan.plan_id}  {plan.status}  {plan.risk}  {text}")


def in_detail(plan: Plan) -> str:
    """A plan with its steps, whole: all that a confirmation is bound to."""
    own_hash = [f"  hash {plan.plan_hash[:_SHOWN_OF_HASH]}"] if plan.status is Status.WAITING else []
    reasons = [_plain(f"  because {reason}") for reason in plan.reasons]
    error = [_plain(f"  {plan.error.code}: {plan.error.detail}")] if plan.error else []
    return "\n".join([in_words(plan), *own_hash, *reasons, *map(_step, plan.steps), *error])


def _refusal(plan: Plan, named: str | None, changes: list[str]) -> str | None:
    """Why it is not confirmed without a question, if it is not."""
    if named is None:
        return "Not confirmed: nobody is at a terminal to be asked."
    if not plan.plan_hash.startswith(named):
        return f"Not confirmed: {named} is not the hash of this plan."
    return "Not confirmed: it is not as it was last shown." if changes else None


def _step(step: Step) -> str:
    told = ", ".join(f"{name}={value!r}" for name, value in step.arguments.items() if value not in (None, "", []))
    line = _plain(f"  {step.number}. {step.status}  {step.risk}  {step.action}({told})")
    line += f", not before {step.not_before:%Y-%m-%d %H:%M:%S} UTC" if step.not_before else ""
    line += f", if {step.condition} is found" if step.condition else ""
    found = json.dumps(step.result, ensure_ascii=False)[:_LONGEST_RESULT] if step.result else ""
    return _plain(line) + (f"\n     {_plain(found)}" if found else "")


def _plain(text: str) -> str:
    """`text` on one line, without what a terminal would obey: the words of a plan may be another's."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _hash(text: str) -> str:
    if not _HASH.fullmatch(text.lower()):
        raise ArgumentTypeError("the hash that was shown with the plan, at least its first 8 characters")
    return text.lower()
