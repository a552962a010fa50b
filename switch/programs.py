"""Command-line programs as hermes' table tells of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProgramRow:
    """An enabled, ready row of `cli_providers`. Without `models` it has one, called as itself."""

    name: str
    path: str
    argv: tuple[str, ...]
    model_argv: tuple[str, ...]
    environment: tuple[str, ...]
    task_types: frozenset[str]
    models: tuple[str, ...]

    @property
    def offered(self) -> tuple[str, ...]:
        """The names under which it can be asked."""
        return self.models or (self.name,)
