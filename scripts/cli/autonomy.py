"""Madre by herself: what she did, or in shadow would have done, and why not more; turn that on and off."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from itertools import groupby, islice

from config.contracts.autonomy import AutonomyStart, AutonomyState, AutonomyStop, Decision, Tick
from scripts.cli.context import Context
from scripts.cli.door import Door, open_door
from scripts.quantities import seconds_in_words

_MOST_PAGES = 15  # of 200 ticks: a day, at one every half a minute
_DONE = {"delegated": "planned", "would_have_done": "would have planned"}


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.set_defaults(last=10)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    status = verbs.add_parser("status", help="how it stands, and what came of the last day (what stands for no verb)")
    status.add_argument("--last", type=int, default=10, metavar="N", help="how many stretches of ticks are shown (10)")
    for verb, words in (
        ("shadow", "look and decide, and act on nothing: what would be done is on record"),
        ("on", "act: what is harmless runs, all else waits for you as a plan"),
    ):
        starting = verbs.add_parser(verb, help=words)
        starting.add_argument(
            "--acts",
            type=int,
            choices=range(61),
            metavar="N",
            help="acts an hour at most, under the settings' own limit",
        )
        starting.add_argument("--reason", default="", help="kept with it")
    verbs.add_parser("off", help="act only when asked").add_argument("--reason", default="", help="kept with it")


def run(options: Namespace, context: Context) -> int:
    """Do it and say how it stands."""
    with open_door(context.settings) as door:
        context.terminal.say("\n".join(act(options, door)))
    return 0


def act(options: Namespace, door: Door) -> list[str]:
    """Ask madre for what the command line says; what came of it, line by line."""
    match options.verb:
        case "shadow" | "on":
            order = AutonomyStart(shadow=options.verb == "shadow", acts_per_hour=options.acts, reason=options.reason)
            return standing(door.start_autonomy(order))
        case "off":
            return standing(door.stop_autonomy(AutonomyStop(reason=options.reason)))
    state = door.autonomy()
    return [*standing(state), *stretches(_ticks(state, door), options.last)]


def standing(state: AutonomyState) -> list[str]:
    """How it was left, by whom, and what it may still do."""
    if state.started_by is None or state.since is None:
        return ["off; nobody has turned it on yet. A first look: ./vx11 autonomy shadow"]
    why = f" ({state.reason})" if state.reason else ""
    lines = [f"{state.mode} since {state.since:%Y-%m-%d %H:%M:%S} UTC, by {state.started_by}{why}"]
    if state.mode != "off":
        every, budget = seconds_in_words(state.interval_sec), state.budget
        lines.append(f"looks every {every}; {budget.used} of {budget.acts_per_hour} acts of this hour are used")
    return lines


def stretches(ticks: Iterator[Tick], most: int) -> Iterator[str]:
    """The ticks in words, newest first; those of which the same came, one after another, are told once."""
    for _, alike in islice(groupby(ticks, key=_story), most):
        newest, *others = alike
        oldest = others[-1] if others else newest
        since = f"{oldest.at:%m-%d %H:%M:%S} to " if others else ""
        times = f", {len(others) + 1} ticks" if others else ""
        yield f"{since}{newest.at:%m-%d %H:%M:%S}{times}: {newest.outcome.replace('_', ' ')}"
        yield from (f"  {_decision(one)}" for one in newest.decisions)
        if newest.outcome == "failed" and not newest.decisions:
            yield f"  {newest.note}"


def _ticks(state: AutonomyState, door: Door) -> Iterator[Tick]:
    """Ticks, newest first, page by page as they are wanted; of a day at most."""
    for _ in range(_MOST_PAGES):
        yield from state.ticks.items
        if state.ticks.next_cursor is None:
            return
        state = door.autonomy(state.ticks.next_cursor)


def _story(tick: Tick) -> tuple[object, ...]:
    """What came of a tick, without its moment."""
    return tick.mode, tick.outcome, tuple((one.rule, one.subject, one.verdict, one.why) for one in tick.decisions)


def _decision(one: Decision) -> str:
    verdict = _DONE.get(one.verdict, one.verdict.replace("_", " "))
    act = f" {one.action}" if one.verdict in _DONE and one.action else ""
    risk = f", {one.risk}" if one.risk else ""
    plan = f": ./vx11 plans show {one.plan_id}" if one.plan_id else ""
    return f"{one.rule} ({one.subject}): {verdict}{act}{risk}; {one.why}{plan}"
