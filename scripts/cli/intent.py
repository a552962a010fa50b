"""Say to madre what is wanted: an order becomes a plan, anything else a model answers."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from config.contracts.asking import DoorIntent, IntentAnswer
from scripts.cli.context import Context
from scripts.cli.door import open_door

_WELL = frozenset({"DONE", "WAITING", "QUEUED", "RUNNING"})


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("words", nargs="+", metavar="WORDS", help="a sentence, in Spanish or English, or VX11::…")
    parser.add_argument("--plan", action="store_true", help="only draw the plan up; it waits, however harmless")
    parser.add_argument("--session", metavar="NAME", help="go on with this conversation")


def run(options: Namespace, context: Context) -> int:
    """Say it, and say what came of it; the exit code says whether something did."""
    with open_door(context.settings) as door:
        answer = door.intend(wish_of(options))
    for warning in answer.warnings:
        context.remarks.say(warning)
    context.terminal.say(in_words(answer))
    return 0 if answer.status in _WELL else 1


def wish_of(options: Namespace) -> DoorIntent:
    """What to ask of madre."""
    payload = {"session_id": options.session} if options.session else {}
    return DoorIntent(intent_type="plan" if options.plan else "chat", text=" ".join(options.words), payload=payload)


def in_words(answer: IntentAnswer) -> str:
    """What came of it; where nobody could answer, why, and never anything in its place."""
    lines = [answer.response] if answer.response else []
    if answer.degraded and answer.error:
        lines.append(f"Nobody could answer: {answer.error.detail}")
        lines += [answer.hint] if answer.hint else []
    if answer.status == "WAITING" and answer.plan_id:
        lines.append(f"./vx11 plans confirm {answer.plan_id}")
    if answer.status in ("RUNNING", "QUEUED"):
        lines.append(f"It goes on: GET /vx11/result/{answer.correlation_id}")
    return "\n".join(lines)
