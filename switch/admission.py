"""Who may go to a model next: the pure owner of everything that waits. Events in, effects out.

Switch is the only door to the workers, so nothing waits anywhere else: of each model at most `parallel` requests
are inside, the others wait here, in a queue for each (class, caller) of each model. A place that comes free goes to
the class and then to the caller that has been given the least predicted seconds (`shares.py`), over all models
together. Classes are weighed, so a lower one gets less and never nothing. A model that is full or loading holds up
nobody but its own queue.

What may wait is bounded in requests and in tokens, and one caller never fills it: they may have as many waiting
as four times the places that are left, so a fifth stays for the others however hard one pushes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

from config.errors import DeadlineExceeded, TooManyRequests, VX11Error
from switch.line import Ask, Inside, Key, Line, Place
from switch.shares import Shares

WEIGHTS = (16, 8, 4, 2, 1)  # of the classes 0 to 4
_GREED = 4  # a caller's waiting requests, over the places that are left
_FORECAST_FRESH_SEC = 0.5


@dataclass(frozen=True, slots=True)
class Enter:
    """Effect: the holder of `ticket` may go to its model; answer with `left`."""

    ticket: int


@dataclass(frozen=True, slots=True)
class TurnAway:
    """Effect: the holder of `ticket` gets `error`."""

    ticket: int
    error: VX11Error


Admitted = Enter | TurnAway


@dataclass(frozen=True, slots=True)
class Bounds:
    """`parallel`: requests of one model inside at once; the others bound what waits for one model."""

    parallel: int
    max_waiting: int
    max_waiting_tokens: int


class Admission:
    """All requests of one Switch that are inside a worker or wait to be."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._lines: dict[str, Line] = {}
        self._classes: Shares[int] = Shares()
        self._shares: Shares[Key] = Shares()

    def asked(self, ask: Ask, now: float, opens_in: float = 0.0) -> list[Admitted]:
        """Somebody wants a place at a model that is there in `opens_in` seconds."""
        line = self._lines.setdefault(ask.model, Line())
        goes_in = not line.waiting and self._fits(line, ask)
        if not goes_in and (refusal := self._over_bounds(line, ask, now, opens_in)):
            return [TurnAway(ask.ticket, refusal)]
        self._classes.joins(ask.priority)
        self._shares.joins(ask.key)
        if not goes_in:
            line.puts(ask)
        if late := self._too_late(line, ask, now, opens_in):
            if not goes_in:
                line.takes(ask)
            self._leaves(ask)
            return [TurnAway(ask.ticket, late)]
        return [self._enter(line, ask, now)] if goes_in else self._admit(line, now)

    def started(self, ticket: int, model: str, now: float) -> None:
        """Its model is there: the holder of a place is being served from now on."""
        self._lines[model].inside[ticket].started_at = now

    def left(self, ticket: int, model: str, now: float, seconds: float | None = None) -> list[Admitted]:
        """A place is free again; `seconds` is what its use would have taken alone, None: as was predicted."""
        line = self._lines[model]
        ask = line.inside.pop(ticket).ask
        if seconds is not None:
            self._classes.corrects(ask.priority, (seconds - ask.seconds) / WEIGHTS[ask.priority])
            self._shares.corrects(ask.key, seconds - ask.seconds)
        return self._gone(ask, line, now)

    def gave_up(self, ticket: int, model: str, now: float) -> list[Admitted]:
        """The holder of `ticket` goes away, whether it waited or had its place already."""
        line = self._lines[model]
        if ticket in line.inside:
            return self.left(ticket, model, now, 0.0)
        ask = next(one for queue in line.queues.values() for one in queue if one.ticket == ticket)
        line.takes(ask)
        return self._gone(ask, line, now)

    def waiting(self, model: str) -> list[Ask]:
        """Who waits for a place at a model, in the order in which they would get one if nobody else came."""
        line = self._lines.get(model)
        return list(self._order(line)) if line else []

    def inside(self, model: str) -> list[Inside]:
        """Who holds a place at a model."""
        line = self._lines.get(model)
        return list(line.inside.values()) if line else []

    def count(self, model: str) -> int:
        """How many wait for a place at a model."""
        line = self._lines.get(model)
        return line.waiting if line else 0

    def models(self) -> list[str]:
        """Every model that somebody has asked for."""
        return list(self._lines)

    @property
    def accounts(self) -> int:
        """How many accounts of callers are kept."""
        return len(self._shares)

    def places(self, model: str, now: float, opens_in: float = 0.0) -> dict[int, Place]:
        """Where everybody stands who waits for a model, by ticket; up to half a second old."""
        line = self._lines.get(model)
        return self._places(line, now, opens_in) if line else {}

    def _places(
        self, line: Line, now: float, opens_in: float, fresh_sec: float = _FORECAST_FRESH_SEC
    ) -> dict[int, Place]:
        if now - line.forecast[0] >= fresh_sec:
            line.forecast = now, self._foretell(line, now, opens_in)
        return line.forecast[1]

    def _fits(self, line: Line, ask: Ask) -> bool:
        """Whether a request finds room inside; one wider than all the places goes in alone."""
        return not line.inside or line.width + ask.width <= self._bounds.parallel

    def _enter(self, line: Line, ask: Ask, now: float) -> Enter:
        self._classes.goes(ask.priority, ask.seconds / WEIGHTS[ask.priority])
        self._shares.goes(ask.key, ask.seconds)
        line.inside[ask.ticket] = Inside(ask)
        return Enter(ask.ticket)

    def _gone(self, ask: Ask, line: Line, now: float) -> list[Admitted]:
        """One request is over: others may go in, and its account may rest."""
        entering = self._admit(line, now)
        self._leaves(ask)
        return entering

    def _admit(self, line: Line, now: float) -> list[Admitted]:
        """Let in whose turn it is, while there is room; who needs several places keeps the turn until they are free."""
        entering: list[Admitted] = []
        while line.waiting:
            following = next(self._order(line))
            if not self._fits(line, following):
                line.called = following if following.width > 1 else None
                break
            line.takes(following)
            line.notes_pace(following, now)
            entering.append(self._enter(line, following, now))
        return entering

    def _leaves(self, ask: Ask) -> None:
        self._classes.leaves(ask.priority)
        self._shares.leaves(ask.key)

    def _order(self, line: Line) -> Iterator[Ask]:
        """The waiting requests in the order in which they will go, if nobody else comes."""
        called = line.called
        if called is not None:
            yield called
        queues = {key: iter(queue) for key, queue in line.queues.items()}
        members: dict[int, list[tuple[float, int, Key]]] = {}
        for number, key in enumerate(line.queues):
            members.setdefault(key[0], []).append((self._shares.given(key), number, key))
        for heap in members.values():
            heapq.heapify(heap)
        classes = [(self._classes.given(priority), priority) for priority in members]
        heapq.heapify(classes)
        while classes:
            class_given, priority = classes[0]
            given, number, key = members[priority][0]
            ask = next(queues[key], None)
            if ask is None:
                heapq.heappop(members[priority])
                if not members[priority]:
                    heapq.heappop(classes)
                continue
            if ask is not called:
                yield ask
            heapq.heapreplace(members[priority], (given + ask.seconds, number, key))
            heapq.heapreplace(classes, (class_given + ask.seconds / WEIGHTS[priority], priority))

    def _foretell(self, line: Line, now: float, opens_in: float) -> dict[int, Place]:
        """Who will go in when, as it is likely to turn out."""
        called = [one.ask for one in line.inside.values() if one.started_at is None]
        of = len(called) + line.waiting
        places = {ask.ticket: Place(number, of, opens_in) for number, ask in enumerate(called, 1)}
        alone = self._play(line, now, opens_in)
        slower = {
            key: self._slower(line, key, max(alone[ask.ticket] for ask in queue)) for key, queue in line.queues.items()
        }
        for number, ask in enumerate(self._order(line), len(called) + 1):
            places[ask.ticket] = Place(number, of, alone[ask.ticket] * slower[ask.key])
        return places

    def _play(self, line: Line, now: float, opens_in: float) -> dict[int, float]:
        """When each waiting request would go in if nobody else came and all took as long as is predicted."""
        free_at = self._free_at(line, now, opens_in)
        return {ask.ticket: _seat(free_at, ask) for ask in self._order(line)}

    def _slower(self, line: Line, key: Key, drain: float) -> float:
        """How many times longer than `drain`, predicted as if nobody else came, a caller's queue will really take.

        If everybody who is here came again and again, each would get their share and no more; the truth lies between,
        so the geometric mean is believed until it was seen how fast this caller gets in.
        """
        if drain <= 0:
            return 1.0
        work = sum(ask.stay_seconds * ask.width for ask in line.queues[key])
        crowded = work / (self._bounds.parallel * self._fair_part(line, key))
        likely = math.sqrt(drain * max(drain, crowded))
        pace = line.paces.get(key)
        return likely / drain * (pace.slower(work / likely) if pace else 1.0)

    @staticmethod
    def _fair_part(line: Line, key: Key) -> float:
        """The part of a model that is a caller's while all who are here want it."""
        active = {*line.queues, *(one.ask.key for one in line.inside.values())}
        classes = {priority for priority, _ in active}
        alike = sum(1 for priority, _ in active if priority == key[0])
        return WEIGHTS[key[0]] / sum(WEIGHTS[priority] for priority in classes) / alike

    def _free_at(self, line: Line, now: float, opens_in: float) -> list[float]:
        """When each of the places inside comes free, in seconds from now; a heap."""
        ends: list[float] = []
        for one in line.inside.values():
            ends += [one.remaining(now, opens_in)] * one.ask.width
        ends += [opens_in] * (self._bounds.parallel - len(ends))
        heapq.heapify(ends)
        return ends

    def _over_bounds(self, line: Line, ask: Ask, now: float, opens_in: float) -> TooManyRequests | None:
        own = [one for key, queue in line.queues.items() if key[1] == ask.share for one in queue]
        places = self._bounds.max_waiting - line.waiting
        tokens = self._bounds.max_waiting_tokens - line.tokens - ask.tokens
        own_tokens = sum(one.tokens for one in own)
        is_first = not line.waiting  # a prompt larger than all that may wait is let in when nobody else waits
        if len(own) < _GREED * places and (is_first or (tokens >= 0 and own_tokens <= _GREED * tokens)):
            return None
        detail = f"{line.waiting} requests with {line.tokens} tokens wait for {ask.model}, {len(own)} of them yours."
        return TooManyRequests(detail, retry_after_sec=max(1.0, self._drains_in(line, own, now, opens_in)))

    def _drains_in(self, line: Line, own: list[Ask], now: float, opens_in: float) -> float:
        """Seconds until all of `own` are inside; for a caller with nothing here, until the first place comes free."""
        places = self._places(line, now, opens_in)
        if any(ask.ticket not in places for ask in own):  # they came after it was looked at
            places = self._places(line, now, opens_in, fresh_sec=0.0)
        if own:
            return max(places[ask.ticket].seconds for ask in own)
        return min((place.seconds for place in places.values()), default=0.0)

    def _too_late(self, line: Line, ask: Ask, now: float, opens_in: float) -> DeadlineExceeded | None:
        """Whether the predicted wait of a request just put into the line is beyond its deadline; in doubt it is not."""
        if ask.deadline is None:
            return None
        left, seconds = ask.deadline - now, opens_in
        if ask.key in line.queues and self._longest_wait(line, now, opens_in) > left:
            seconds = self._play(line, now, opens_in)[ask.ticket]
        if seconds <= left:
            return None
        detail = (
            f"{ask.model} could begin in about {seconds:.1f} s; the request's deadline is in {max(0.0, left):.1f} s."
        )
        return DeadlineExceeded(detail, extra={"predicted_wait_sec": round(seconds, 3)})

    def _longest_wait(self, line: Line, now: float, opens_in: float) -> float:
        """What nobody in the line will wait longer than, if nobody else came; quick to tell."""
        work = sum(one.stay_seconds * one.width for queue in line.queues.values() for one in queue)
        return max(self._free_at(line, now, opens_in)) + work / self._bounds.parallel


def _seat(free_at: list[float], ask: Ask) -> float:
    """Give a request the places that come free first; when it has them all."""
    taken = [heapq.heappop(free_at) for _ in range(min(ask.width, len(free_at)))]
    for _ in taken:
        heapq.heappush(free_at, taken[-1] + ask.stay_seconds)
    return taken[-1]
