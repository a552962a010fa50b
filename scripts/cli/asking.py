"""Asking the person at the terminal, where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from scripts.terminal import Terminal

Ask = Callable[[str], bool]


def asker(terminal: Terminal, typed: TextIO) -> Ask | None:
    """How to ask for a yes; None where nobody both sees the question and can type the answer."""
    if not (terminal.live and typed.isatty()):
        return None

    def ask(question: str) -> bool:
        terminal.write(f"{question} [y/N] ")
        return typed.readline().strip().lower() in ("y", "yes")

    return ask
