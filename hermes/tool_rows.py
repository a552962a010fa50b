"""Rows of command-line programs, made, changed and shown on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from config.contracts.tools import ExecutionResult, OnboardingStep, ProgramEntry, Tool
from config.db_schema.hermes import CliOnboardingState, CliProvider
from config.programs import ProgramResult
from hermes.providers import takes_prompt_by_stdin

_ORDER: Final = ("found", "probed", "authenticated", "ready")


def new_program(entry: ProgramEntry, now: datetime) -> CliProvider:
    """A row for a program nobody has looked at yet; off until an operator lets it be asked."""
    return CliProvider(
        name=entry.name,
        path=None,
        version=None,
        state="absent",
        authentication="unknown",
        models=[],
        enabled=False,
        detail=None,
        hint=None,
        usage_count=0,
        last_used_at=None,
        checked_at=None,
        created_at=now,
    )


def brought_in_line(row: CliProvider, entry: ProgramEntry, is_own: bool, path: Path | None, now: datetime) -> bool:
    """Make a row say what is declared and where the program is; whether that changed.

    A program that is another now, elsewhere or gone has to be looked at again before it is asked.
    """
    before = (row.path, row.argv, row.model_argv, row.probe, row.environment)
    row.title, row.origin = entry.title, "own" if is_own else "built-in"
    row.argv, row.model_argv, row.probe = entry.argv, entry.model_argv, entry.probe
    row.environment = [*entry.credentials, *entry.environment]
    row.task_types, row.context_tokens = [*entry.task_types], entry.context_tokens
    row.path = None if path is None else str(path)
    changed = before != (row.path, row.argv, row.model_argv, row.probe, row.environment)
    if changed:
        row.state = "absent" if path is None else "found"
        row.authentication, row.detail, row.hint = "unknown", None, _hint(entry, path)
        row.updated_at = now
    return changed


def tool_on_wire(row: CliProvider, steps: Sequence[CliOnboardingState]) -> Tool:
    """A program as answers show it: without its place on this machine."""
    ordered = sorted(steps, key=lambda step: _ORDER.index(step.step))
    return Tool(
        name=row.name,
        title=row.title,
        origin=row.origin,  # type: ignore[arg-type]  # the table holds only what the contract allows
        state=row.state,  # type: ignore[arg-type]  # likewise
        authentication=row.authentication,  # type: ignore[arg-type]  # likewise
        enabled=row.enabled,
        version=row.version,
        models=row.models,
        task_types=row.task_types,
        context_tokens=row.context_tokens,
        prompt_by="stdin" if takes_prompt_by_stdin(row.argv) else "argument",
        detail=row.detail,
        hint=row.hint,
        usage_count=row.usage_count,
        last_used_at=row.last_used_at,
        checked_at=row.checked_at,
        steps=[
            OnboardingStep.model_validate(
                {"step": step.step, "outcome": step.outcome, "detail": step.detail, "hint": step.hint}
            )
            for step in ordered
        ],
    )


def result_on_wire(name: str, result: ProgramResult) -> ExecutionResult:
    """How a run ended, as answers show it."""
    status = "timeout" if result.timed_out else "truncated" if result.truncated else "failed" if result.code else "done"
    return ExecutionResult.model_validate(
        {
            "tool": name,
            "status": status,
            "code": result.code,
            "output": result.stdout.decode("utf-8", "replace"),
            "errors": result.stderr.decode("utf-8", "replace"),
            "seconds": round(result.seconds, 3),
        }
    )


def _hint(entry: ProgramEntry, path: Path | None) -> str | None:
    if path is not None:
        return f"POST /hermes/tools/{entry.name}/onboard looks at it."
    return f"Install it: {entry.install}" if entry.install else None
