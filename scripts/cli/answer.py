"""Prints a streamed answer as it comes, and measures how fast it came."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scripts.cli.door import Piece
from scripts.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Speed:
    """How an answer came: seconds to its first piece, tokens in it, tokens per second from the first to the last.

    `tokens` is None where the model did not say; the rate is then unknown too.
    """

    first_piece_sec: float | None
    tokens: int | None
    tokens_per_sec: float | None

    def __str__(self) -> str:
        parts = []
        if self.tokens is not None:
            parts.append(f"{self.tokens} tokens")
        if self.tokens_per_sec is not None:
            parts.append(f"{self.tokens_per_sec:.0f} tokens/s")
        if self.first_piece_sec is not None:
            parts.append(f"first after {self.first_piece_sec:.2f} s")
        return ", ".join(parts) or "no answer came"


def print_answer(pieces: Iterable[Piece], terminal: Terminal, *, indent: str = "") -> Speed:
    """Write the pieces as they come; how fast they did."""
    asked_at = terminal.monotonic()
    first_at = last_at = None
    tokens = None
    terminal.write(indent)
    for piece in pieces:
        if piece.usage:
            tokens = piece.usage.get("completion_tokens")
        if piece.text:
            last_at = terminal.monotonic()
            first_at = first_at or last_at
            terminal.write(piece.text.replace("\n", f"\n{indent}"))
    terminal.write("\n")
    return measured(asked_at, first_at, last_at, tokens)


def measured(asked_at: float, first_at: float | None, last_at: float | None, tokens: int | None) -> Speed:
    """The speed behind the moments (seconds of one clock). The first token's time is the prompt's, not generation's."""
    if first_at is None or last_at is None:
        return Speed(None, tokens, None)
    spent = last_at - first_at
    rate = (tokens - 1) / spent if tokens and tokens > 1 and spent > 0 else None
    return Speed(first_at - asked_at, tokens, rate)
