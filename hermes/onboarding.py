"""How far a command-line program got: found, probed, authenticated, ready, or why not and what would mend it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from config.contracts.tools import Authentication, Outcome, ProgramEntry, ProgramState, StepName
from config.programs import ProgramResult

_VERSION: Final = re.compile(r"\d+(?:\.\d+)+[A-Za-z0-9.+-]*")
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
MAX_MODELS: Final = 200


@dataclass(frozen=True, slots=True)
class Step:
    """One step and how it went."""

    step: StepName
    outcome: Outcome
    detail: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of a program; None where it was not asked. `credential` is the variable that signs it in."""

    is_found: bool
    probe: ProgramResult | None = None
    authentication: ProgramResult | None = None
    listing: ProgramResult | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a program stands: the last step that went well, and all of them in order."""

    state: ProgramState
    authentication: Authentication
    version: str | None
    models: list[str]
    steps: list[Step]

    @property
    def obstacle(self) -> Step | None:
        """The step that keeps it from being asked; None for a program that is ready."""
        return next((step for step in self.steps if step.outcome == "failed"), None)


def standing_of(entry: ProgramEntry, seen: Evidence) -> Standing:
    """Where a program stands by what was seen of it."""
    models = models_in(entry, seen.listing)
    steps: list[Step] = []
    for step in (
        _found(entry, seen),
        _probed(entry, seen.probe),
        _authenticated(entry, seen),
        _ready(entry, seen, models),
    ):
        failed_before = any(earlier.outcome == "failed" for earlier in steps)
        steps.append(Step(step.step, "waiting") if failed_before else step)
    return Standing(
        state=_state(steps),
        authentication=_authentication(steps[2]),
        version=version_in(seen.probe) if seen.probe is not None and seen.probe.succeeded else None,
        models=models,
        steps=steps,
    )


def version_in(probe: ProgramResult) -> str | None:
    """The version number that a program tells of itself."""
    match = _VERSION.search(_text(probe.stdout) + " " + _text(probe.stderr))
    return match[0][:128] if match else None


def models_in(entry: ProgramEntry, listing: ProgramResult | None) -> list[str]:
    """The models that a program lists, each once, in its order."""
    if entry.listing is None or listing is None or not listing.succeeded:
        return []
    found = (re.search(entry.listing.item, line) for line in _text(listing.stdout).splitlines())
    return list(dict.fromkeys(match[1][:256] for match in found if match))[:MAX_MODELS]


def _found(entry: ProgramEntry, seen: Evidence) -> Step:
    if seen.is_found:
        return Step("found", "ok")
    hint = f"Install it: {entry.install}" if entry.install else "Install it, then look again."
    return Step("found", "failed", f"There is no {entry.argv[0]!r} on the PATH of hermes.", hint)


def _probed(entry: ProgramEntry, probe: ProgramResult | None) -> Step:
    if probe is not None and probe.succeeded:
        return Step("probed", "ok")
    hint = f"Run `{' '.join(entry.probe)}` by hand and see what it says."
    return Step("probed", "failed", "It could not be asked for its version" + _why(probe), hint)


def _authenticated(entry: ProgramEntry, seen: Evidence) -> Step:
    if not entry.needs_login:
        return Step("authenticated", "ok", "It needs none.")
    if seen.credential is not None:
        return Step("authenticated", "ok", f"By the variable {seen.credential}; whether it is valid was not tried.")
    call, answer = entry.authentication, seen.authentication
    hint = f"Sign in: {entry.login}" if entry.login else "Sign in by hand."
    if call is None or answer is None or answer.timed_out:
        return Step("authenticated", "unknown", "No call shows it without asking a model.", hint)
    if answer.succeeded and re.search(call.says or "", _text(answer.stdout), re.IGNORECASE):
        return Step("authenticated", "ok")
    return Step("authenticated", "failed", "It is not signed in.", hint)


def _ready(entry: ProgramEntry, seen: Evidence, models: Sequence[str]) -> Step:
    if entry.listing is not None and not models and "{model}" in " ".join(entry.argv):
        return Step("ready", "failed", "It lists no model" + _why(seen.listing), f"First: {entry.login}")
    return Step("ready", "ok")


def _state(steps: Sequence[Step]) -> ProgramState:
    state: ProgramState = "absent"
    for step in steps:
        if step.outcome == "ok":
            state = step.step
        elif step.outcome != "unknown":
            break
    return state


def _authentication(step: Step) -> Authentication:
    match step.outcome:
        case "ok":
            return "yes"
        case "failed":
            return "no"
    return "unknown"


def _why(result: ProgramResult | None) -> str:
    if result is None:
        return "."
    if result.timed_out:
        return f": it did not answer within {result.seconds:.0f} s."
    said = (_text(result.stderr) or _text(result.stdout)).strip()
    return f": it ended with {result.code}" + (f" and said {said[-200:]!r}." if said else ".")


def _text(raw: bytes) -> str:
    return _ESCAPES.sub("", raw[:100_000].decode("utf-8", "replace"))
