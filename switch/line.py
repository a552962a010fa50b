"""The line for one model: who waits in which queue, who is inside, and how fast each caller gets in. Pure.

The books of `admission.py`, which alone changes them.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

_REMEMBERED_SEC = 60.0  # how far back it counts how fast a caller was served
_BELIEF_SEC = 5.0  # so long the forecast is believed as much as what was seen
_OVERDUE_PART = 0.1  # who takes longer than predicted is taken to need this part of it still

Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for a place. `seconds` is what it would take alone, which is what counts as given to its caller;
    `stay_seconds` what it will take among `parallel` others. `width` is how many answers it makes at once.
    `deadline` is a point of the same clock as `now`."""

    ticket: int
    model: str
    user: str
    share: str
    priority: int
    seconds: float
    stay_seconds: float
    tokens: int
    width: int = 1
    deadline: float | None = None

    @property
    def key(self) -> Key:
        """Whose account it goes to, within its class."""
        return self.priority, self.share


@dataclass(frozen=True, slots=True)
class Place:
    """Where a waiting request stands: the `number`-th of `of`, with `seconds` to go."""

    number: int
    of: int
    seconds: float


@dataclass(slots=True)
class Inside:
    """A request that holds a place; `started_at` is None until its model is there for it."""

    ask: Ask
    started_at: float | None = None

    def remaining(self, now: float, opens_in: float) -> float:
        """Seconds until it will leave."""
        stay = self.ask.stay_seconds
        if self.started_at is None:
            return opens_in + stay
        return max(self.started_at + stay - now, stay * _OVERDUE_PART)


@dataclass(slots=True)
class Pace:
    """How fast a caller with several waiting requests gets in: seconds of stay (`work`) in `window` seconds."""

    at: float
    work: float = 0.0
    window: float = 0.0

    def goes(self, stay_seconds: float, now: float) -> None:
        """Another one went in."""
        kept = math.exp((self.at - now) / _REMEMBERED_SEC)
        self.window = self.window * kept + (now - self.at)
        self.work = self.work * kept + stay_seconds
        self.at = now

    def slower(self, rate: float) -> float:
        """How many times longer it takes than at the `rate` (work a second) of a forecast."""
        seen = (self.work + rate * _BELIEF_SEC) / (self.window + _BELIEF_SEC)
        return rate / seen


@dataclass(slots=True)
class Line:
    """Everybody who wants one model."""

    queues: dict[Key, deque[Ask]] = field(default_factory=dict)
    inside: dict[int, Inside] = field(default_factory=dict)
    called: Ask | None = None  # whose turn it is, but who needs more places than are free
    waiting: int = 0
    tokens: int = 0
    forecast: tuple[float, dict[int, Place]] = (-math.inf, {})
    paces: dict[Key, Pace] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Places that are taken."""
        return sum(one.ask.width for one in self.inside.values())

    def puts(self, ask: Ask) -> None:
        """A request waits."""
        self.queues.setdefault(ask.key, deque()).append(ask)
        self.waiting += 1
        self.tokens += ask.tokens

    def takes(self, ask: Ask) -> None:
        """It waits no longer."""
        queue = self.queues[ask.key]
        queue.remove(ask)
        if self.called is ask:
            self.called = None
        if not queue:
            del self.queues[ask.key]
            self.paces.pop(ask.key, None)
        self.waiting -= 1
        self.tokens -= ask.tokens

    def notes_pace(self, ask: Ask, now: float) -> None:
        """A request went in: that counts where its caller has others waiting."""
        if ask.key in self.paces:
            self.paces[ask.key].goes(ask.stay_seconds * ask.width, now)
        elif ask.key in self.queues:
            self.paces[ask.key] = Pace(now)
