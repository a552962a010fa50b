"""Runs the tests, ring by ring, from the cheapest to the most real.

unit: pure decisions · service: one app over a real database · house: shape, imports, linters ·
fleet: real processes and real models · postgres: the rings that keep something, on a PostgreSQL server made for them ·
compose: a real Docker engine · browser: the page in a real browser.
Under CI=true a few tests that failed among many busy processes are run once more, alone, and named: a test that passes
only then is unsteady, not red (docs/decisions/0024-unsteady-tests.md).
What stands after `--` goes to pytest.
"""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

from scripts.cli import images, starters
from scripts.cli.context import Context
from scripts.cli.failure import CommandFailed
from scripts.terminal import Terminal

RINGS = ("unit", "service", "house", "fleet", "postgres", "compose", "browser")
QUICK = ("unit", "service", "house")
REAL = frozenset({"fleet", "postgres", "compose", "browser"})  # these ask real models
_POSTGRES = (
    "--postgres",
    "--dist=loadfile",  # a fleet at a time, beside tests that need none
    "tests/postgres",
    "tests/service",
    "tests/house/test_whole_fleet.py",
    "tests/fleet/test_power.py",
    "tests/fleet/test_chat.py",
    "tests/fleet/test_hermes.py",
    "tests/fleet/test_plan_crashes.py",
    "tests/fleet/test_cancel_crashes.py",
    "tests/fleet/test_confirm_crashes.py",
)
_PURE = frozenset({"unit", "house"})  # no process, no clock: what fails there fails again
_MOST_UNSTEADY = 3
_TESTS_FAILED, _NOTHING_COLLECTED = 1, 5
_COUNTS = ("tests", "failures", "errors", "skipped")


@dataclass(frozen=True, slots=True)
class RingResult:
    """How one ring ended; counts are tests, `code` is pytest's exit code, `unsteady` names what passed only alone."""

    ring: str
    code: int
    passed: int
    failed: int
    skipped: int
    unsteady: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing in it ran: all of it was skipped, or there was nothing."""
        return self.passed + self.failed == 0 and self.code in {0, _NOTHING_COLLECTED}

    @property
    def is_bad(self) -> bool:
        """Something in it failed."""
        return self.code not in {0, _NOTHING_COLLECTED}

    @property
    def deserves_a_second_look(self) -> bool:
        """So few of its tests failed, and of such a kind, that the machine may have been the reason."""
        return self.ring not in _PURE and self.code == _TESTS_FAILED and 0 < self.failed <= _MOST_UNSTEADY

    def after(self, again: RingResult, names: tuple[str, ...]) -> RingResult:
        """What holds once its failed tests, called `names`, were run again: nothing changes if one failed again."""
        if again.is_bad or again.passed < self.failed:
            return self
        return replace(self, code=0, passed=self.passed + self.failed, failed=0, unsteady=names)


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("rings", nargs="*", metavar="RING", help=f"one or more of {', '.join(RINGS)}; none: all")
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}: the inner loop")


def run(options: Namespace, context: Context) -> int:
    """Run the rings asked for; 0 when all of them passed (under CI=true: and none was empty)."""
    tests = context.world.repository / "tests"
    rings = chosen_rings(options.rings, quick=options.quick, present=present_rings(tests))
    if REAL.intersection(rings):
        starters.ensure(context)
    strict = context.world.continuous_integration
    results = [_run_ring(ring, options.passed_on, context, second_look=strict) for ring in rings]
    return report(results, context.terminal, strict=strict)


def present_rings(tests: Path) -> list[str]:
    """The rings that this build has a folder for."""
    return [ring for ring in RINGS if (tests / ring).is_dir()]


def chosen_rings(names: Sequence[str], *, quick: bool, present: Sequence[str]) -> list[str]:
    """The rings to run, in their own order."""
    for name in names:
        if name not in RINGS:
            raise CommandFailed(f"There is no test ring {name!r}.", f"Rings: {', '.join(RINGS)}.")
        if name not in present:
            raise CommandFailed(f"The ring {name!r} comes with a room that this build does not hold yet.")
    wanted = names or (QUICK if quick else RINGS)
    return [ring for ring in present if ring in wanted]


def report(results: Sequence[RingResult], terminal: Terminal, *, strict: bool) -> int:
    """Print what each ring did, and the sum; the exit code."""
    terminal.headline("Test rings")
    for result in results:
        terminal.say(f"  {result.ring:<8} {_verdict(result, terminal)}")
    for name in [name for result in results for name in result.unsteady]:
        terminal.say(f"\n{terminal.bad('UNSTEADY')} {name} failed among the others and passed alone: mend it.")
    empty = [result.ring for result in results if result.is_empty]
    if empty:
        terminal.say(f"\n{terminal.bad('NOTHING RAN')} in: {', '.join(empty)}.")
    passed, failed, skipped = (sum(getattr(r, name) for r in results) for name in ("passed", "failed", "skipped"))
    terminal.say(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return int(any(result.is_bad for result in results) or bool(empty and strict))


def read_counts(ring: str, code: int, junit: Path) -> RingResult:
    """The counts in a JUnit file that pytest wrote; none where it wrote no file (it broke before)."""
    if not junit.exists():
        return RingResult(ring, code, 0, 0, 0)
    suite = ElementTree.parse(junit).getroot().find("testsuite")  # noqa: S314  # our own pytest wrote it
    count = {name: int(suite.get(name, 0)) if suite is not None else 0 for name in _COUNTS}
    failed = count["failures"] + count["errors"]
    return RingResult(ring, code, count["tests"] - failed - count["skipped"], failed, count["skipped"])


def read_failed(junit: Path) -> tuple[str, ...]:
    """The names of the tests that failed in a JUnit file that pytest wrote."""
    cases = ElementTree.parse(junit).getroot().iter("testcase")  # noqa: S314  # our own pytest wrote it
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    return tuple(f"{case.get('classname')}.{case.get('name')}" for case in failed)


def _run_ring(ring: str, extra: Sequence[str], context: Context, *, second_look: bool) -> RingResult:
    context.terminal.headline(f"Ring: {ring}")
    if ring == "compose":
        images.ensure(context)
    junit = context.world.repository / "build" / f"tests-{ring}.xml"
    junit.parent.mkdir(exist_ok=True)
    workers = ["-n", "logical"] if ring in (*QUICK, "postgres") else []  # the others start whole fleets
    result = _run_tests(ring, [*workers, *extra], context, junit)
    if not (second_look and result.deserves_a_second_look):
        return result
    context.terminal.say(f"\nOnce more, alone: {result.failed} of {ring}")
    again = _run_tests(ring, [*extra, "--last-failed"], context, junit.with_stem(f"{junit.stem}-again"))
    return result.after(again, read_failed(junit))


def _run_tests(ring: str, options: Sequence[str], context: Context, junit: Path) -> RingResult:
    junit.unlink(missing_ok=True)
    command = [sys.executable, "-P", "-m", "pytest", "-rfEs", f"--junitxml={junit}"]
    command += _POSTGRES if ring == "postgres" else [f"tests/{ring}"]
    variables = context.world.child_variables(PYTHONUNBUFFERED="1")
    code = subprocess.run([*command, *options], env=variables, cwd=context.world.repository, check=False).returncode
    return read_counts(ring, code, junit)


def _verdict(result: RingResult, terminal: Terminal) -> str:
    counts = f"{result.passed} passed, {result.failed} failed, {result.skipped} skipped"
    if result.is_bad:
        return f"{terminal.bad('failed')}  {counts}"
    if result.is_empty:
        return f"{terminal.bad('empty')}   {counts}"
    return f"{terminal.good('passed')}  {counts}"
