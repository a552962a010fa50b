"""What every command works with."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.surroundings import Surroundings
from scripts.terminal import Terminal, terminal_on

if TYPE_CHECKING:
    from config.settings import Settings


@dataclass(frozen=True)
class Context:
    """The caller's world and screen; `called_from` is where they stood when they typed the command.

    Results go to `terminal` (standard output), remarks beside a result that is data to `remarks`
    (standard error). Settings are read when first asked for, because the doctor runs where they cannot be.
    """

    world: Surroundings
    called_from: Path
    terminal: Terminal
    remarks: Terminal

    @cached_property
    def settings(self) -> Settings:
        """The fleet's settings, as its processes will see them."""
        from config.settings import load_settings  # noqa: PLC0415  # needs .venv

        return load_settings()

    @cached_property
    def is_set_up(self) -> bool:
        """Whether this process runs in the `.venv` that set-up made."""
        return Path(sys.prefix).resolve() == self.world.environment.resolve()


def context_of(world: Surroundings, called_from: Path) -> Context:
    """The context of this process."""
    return Context(
        world=world,
        called_from=called_from,
        terminal=terminal_on(sys.stdout, colour=world.colour),
        remarks=terminal_on(sys.stderr, colour=world.colour),
    )
