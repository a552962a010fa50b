"""Calm output: sentences, steps, and one progress bar at a time.

On a terminal a bar repaints its line; anywhere else (a pipe, a log, CI) it becomes a few plain lines, so
that nothing is lost and nothing scrolls without end. Standard library only: the set-up uses it too.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from scripts.quantities import left_in_words

BAR_CELLS = 24
REPAINT_SEC = 0.1
PLAIN_LINE_SEC = 30.0
TITLE_WIDTH = 16

_BOLD, _DIM, _RED, _GREEN, _YELLOW, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
_COLOUR = re.compile(r"(\x1b\[\d*m)")


class Terminal:
    """Where the command line writes. `live` says a person watches: repaint and colour are then allowed."""

    def __init__(
        self,
        stream: TextIO,
        *,
        live: bool,
        colour: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.live = live
        self.monotonic = monotonic
        self._stream = stream
        self._colour = colour and live
        self._painted_lines = 0

    def say(self, text: str = "") -> None:
        """Print `text` on lines of its own."""
        self.write(text + "\n")

    def headline(self, text: str) -> None:
        """Open a new part of the output."""
        self.say(f"\n{self.bold(text)}")

    def done(self, title: str, text: str) -> None:
        """Say that the step called `title` is finished."""
        self.say(f"  {title:<{TITLE_WIDTH}} {self._paint(_GREEN, 'ok')}  {text}")

    def write(self, text: str) -> None:
        """Print `text` as it is, at once, in the place of what was painted."""
        self._stream.write(self._erase() + text)
        self._stream.flush()

    def paint(self, lines: Sequence[str]) -> None:
        """Show `lines` in the place of what was painted before, each cut to the window (live terminals only)."""
        size = shutil.get_terminal_size()
        shown = [_cut(line, size.columns - 1) for line in lines[: size.lines - 1]]
        self._stream.write(self._erase() + "\n".join(shown))
        self._stream.flush()
        self._painted_lines = len(shown)

    def _erase(self) -> str:
        """What takes the painted lines off the screen again."""
        if not self._painted_lines:
            return ""
        up = f"\x1b[{self._painted_lines - 1}A" if self._painted_lines > 1 else ""
        self._painted_lines = 0
        return f"\r{up}\x1b[J"

    def bold(self, text: str) -> str:
        """`text`, emphasised where the terminal can."""
        return self._paint(_BOLD, text)

    def dim(self, text: str) -> str:
        """`text`, receding where the terminal can."""
        return self._paint(_DIM, text)

    def good(self, text: str) -> str:
        """`text` in the colour of health."""
        return self._paint(_GREEN, text)

    def uneasy(self, text: str) -> str:
        """`text` in the colour of a warning."""
        return self._paint(_YELLOW, text)

    def bad(self, text: str) -> str:
        """`text` in the colour of failure."""
        return self._paint(_RED, text)

    @contextmanager
    def bar(self, title: str, total: float = 0, amount: Callable[[float], str] = "{:.0f}".format) -> Iterator[Bar]:
        """A progress bar for `total` units of work (0: not known yet), each count worded by `amount`."""
        bar = Bar(self, title, total, amount)
        bar.update(0)
        yield bar

    def _paint(self, code: str, text: str) -> str:
        return f"{code}{text}{_RESET}" if self._colour else text


class Bar:
    """One step's progress: `update` it as often as convenient, it paints as often as sensible."""

    def __init__(self, terminal: Terminal, title: str, total: float, amount: Callable[[float], str]) -> None:
        self.total = total
        self.done = 0.0
        self._terminal = terminal
        self._title = title
        self._amount = amount
        self._note = ""
        self._started = terminal.monotonic()
        self._shown_at = float("-inf")
        self._shown_tenth = -1
        self._shown_note = ""

    def begin(self, total: float) -> None:
        """The size of the work is known now: `total` units, counted and timed from here."""
        self.total, self.done = total, 0.0
        self._shown_tenth = -1
        self._started = self._terminal.monotonic()

    def update(self, done: float, note: str = "") -> None:
        """`done` units are finished; `note` says what is going on."""
        self.done, self._note = done, note
        now = self._terminal.monotonic()
        words = self._words(now)
        if not words or not self._due(now):
            return
        self._shown_at, self._shown_tenth, self._shown_note = now, self._tenth(), note
        if self._terminal.live:
            self._terminal.paint([f"  {self._title:<{TITLE_WIDTH}} {self._cells()} {words}"])
        else:
            self._terminal.say(f"  {self._title}: {words}")

    def tick(self) -> None:
        """Time passed without news; keeps the estimate honest and a log alive."""
        self.update(self.done, self._note)

    def _due(self, now: float) -> bool:
        since = now - self._shown_at
        if self._terminal.live:
            return since >= REPAINT_SEC or 0 < self.total <= self.done
        news = self._note != self._shown_note if not self.total else self._tenth() > self._shown_tenth
        return news or since >= PLAIN_LINE_SEC

    def _tenth(self) -> int:
        return int(10 * self._fraction())

    def _fraction(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0

    def _cells(self) -> str:
        full = int(BAR_CELLS * self._fraction())
        return "[" + "#" * full + "." * (BAR_CELLS - full) + "]"

    def _words(self, now: float) -> str:
        counted = f"{self._amount(self.done)} of {self._amount(self.total)}" if self.total else ""
        parts = [counted, self._note, self._left(now)]
        return ", ".join(part for part in parts if part)

    def _left(self, now: float) -> str:
        elapsed = now - self._started
        if not 0 < self.done < self.total or elapsed < 2:
            return ""
        return left_in_words(elapsed / self.done * (self.total - self.done))


def _cut(line: str, width: int) -> str:
    """`line` without what would not fit; colour codes take no room and are all kept."""
    kept, room = [], width
    for part in _COLOUR.split(line):
        if _COLOUR.fullmatch(part):
            kept.append(part)
        else:
            kept.append(part[:room])
            room -= len(part[:room])
    return "".join(kept)


def terminal_on(stream: TextIO, *, colour: bool) -> Terminal:
    """The terminal behind `stream`, standard output or standard error."""
    return Terminal(stream, live=stream.isatty(), colour=colour)
