"""Say to madre what is wanted: an order becomes a plan, anything else a model answers."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from config.contracts.asking import DoorIntent, IntentAnswer
from config.contracts.plans import Plan
from scripts.cli.context import Context
from scripts.cli.door import Door, open_door
from scripts.cli.failure import CommandFailed
from scripts.cli.plans import in_detail, line_for

_WELL = frozenset({"DONE", "WAITING", "QUEUED", "RUNNING"})


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("words", nargs="*", metavar="WORDS", help="a sentence, in Spanish or English, or VX11::…")
    parser.add_argument("--plan", action="store_true", help="only draw the plan up; it waits, however harmless")
    parser.add_argument("--session", metavar="NAME", help="go on with this conversation")
    parser.add_argument("--result", metavar="ID", help="say nothing; ask what came of what was said under this id")


def run(options: Namespace, context: Context) -> int:
    """Say it, and say what came of it; the exit code says whether something did."""
    with open_door(context.settings) as door:
        answer, plan = act(options, door)
    for warning in answer.warnings:
        context.remarks.say(warning)
    context.terminal.say(in_words(answer, plan))
    return 0 if answer.status in _WELL else 1


def act(options: Namespace, door: Door) -> tuple[IntentAnswer, Plan | None]:
    """Ask madre; her answer, and the whole plan where one waits for a yes."""
    answer = door.result(options.result) if options.result else door.intend(wish_of(options))
    waits = answer.status == "WAITING" and answer.plan_id
    return answer, door.plan(answer.plan_id) if waits and answer.plan_id else None


def wish_of(options: Namespace) -> DoorIntent:
    """What to ask of madre."""
    text = " ".join(options.words).strip()
    if not text:
        raise CommandFailed("Nothing was said.", './vx11 intent "open switch for 10 minutes"')
    payload = {"session_id": options.session} if options.session else {}
    return DoorIntent(intent_type="plan" if options.plan else "chat", text=text, payload=payload)


def in_words(answer: IntentAnswer, plan: Plan | None = None) -> str:
    """What came of it; where nobody could answer, why, and never anything in its place. A waiting plan is shown whole,
    because the line below it confirms exactly that."""
    if plan is not None:
        return f"{in_detail(plan)}\nIt waits for you: {line_for(plan)}"
    lines = [answer.response] if answer.response else []
    if answer.degraded and answer.error:
        lines.append(f"Nobody could answer: {answer.error.detail}")
        lines += [answer.hint] if answer.hint else []
    if answer.status in ("RUNNING", "QUEUED"):
        further = f"plans show {answer.plan_id}" if answer.plan_id else f"intent --result {answer.correlation_id}"
        lines.append(f"It goes on: ./vx11 {further}")
    if named := dict.fromkeys(one.action for one in answer.withheld if one.action):
        lines.append(f"Not done, because it was not an order: {', '.join(named)}")
    return "\n".join(lines)
