"""The only door to the workers: what a request goes through from its arrival to the end of its answer.

Three pure owners let it pass, one after the other: `admission.py` gives it a place at its model, `lifecycle.py` (by
way of `pool.py`) has the model in memory, `turns.py` a core to compute on. All of it runs on the event loop's one
thread, as in `pool.py`, and a request that finds everything free passes without waiting once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from config import deadline
from config.app import House
from config.errors import DeadlineExceeded, VX11Error
from config.logs import correlation_id
from config.streaming import Head
from switch.admission import Admission, Admitted, Bounds, Enter
from switch.choose import ModelFile, context_of
from switch.line import Ask, Place
from switch.orders import Asker, Order
from switch.pool import Pool, settle
from switch.rates import ModelRates, Rates, timings_in
from switch.residence import Model, Stage
from switch.turns import Turns
from switch.waiting import Waiting

_TELL_EVERY_SEC = 1.0
_TAIL_BYTES = 4096
_MIB = 2**20
_NO_ANSWER = "/v1/embeddings"

Step = Literal["queued", "called", "at the core", "inside"]


@dataclass(slots=True)
class Guest:
    """A request on its way through; `turn` is done when it may go to its worker, or with why it may not."""

    ask: Ask
    file: ModelFile
    turn: asyncio.Future[VX11Error | None]
    arrived_at: float
    correlation_id: str
    step: Step = "queued"
    entered_at: float = 0.0
    at_once: int = 0


class Local:
    """Local models as whoever chose one asks them. `cores`: how many may compute at once."""

    def __init__(self, house: House, pool: Pool, *, cores: int) -> None:
        settings = house.settings.switch
        self._house = house
        self._pool = pool
        self._rates = Rates()
        self._parallel = settings.parallel
        self._admission = Admission(Bounds(settings.parallel, settings.max_waiting, settings.max_waiting_tokens))
        self._turns = Turns(cores, settings.turn_sec)
        self._guests: dict[int, Guest] = {}

    async def ask(self, file: ModelFile, order: Order, asker: Asker) -> AsyncGenerator[Head | Waiting | bytes, None]:
        """The worker's answer: its head, then pieces; before them, once a second, where the request stands.

        Raises, before the head, TooManyRequests (with the predicted drain of the caller's queue), DeadlineExceeded,
        ModelFailed or Unavailable, and WorkerLost at any time when the worker dies.
        """
        guest = self._arrives(file, order, asker)
        ending = b"", b""
        try:
            while not guest.turn.done():
                if not await self._waited(guest):
                    yield self.standing(guest)
            refusal = guest.turn.result()
            if refusal is not None:
                raise refusal
            worker = self._pool.worker(file.name)
            async with contextlib.aclosing(worker.ask(order.path, order.body)) as items:
                async for item in items:
                    if isinstance(item, bytes):
                        ending = ending[1], item
                    yield item
        finally:
            self._leaves(guest, b"".join(ending)[-_TAIL_BYTES:])

    def guests(self) -> Iterable[Guest]:
        """Everybody who is here, in the order of their arrival."""
        return self._guests.values()

    def standing(self, guest: Guest) -> Waiting:
        """Where a guest stands who waits."""
        places = self._admission.places(guest.ask.model, self._now(), self._opens_in(guest.file))
        place = places.get(guest.ask.ticket) or Place(1, 1, 0.0)
        progress = self._pool.progress(guest.ask.model)
        state: Literal["queued", "loading"] = "queued" if progress is None else "loading"
        return Waiting(place.number, place.of, round(place.seconds, 1), state, progress)

    def waiting(self, model: str) -> int:
        """How many of its guests a model keeps waiting outside of the pool: for a place, or for a core."""
        return self._admission.count(model) + self._turns.waiting(model)

    def at_the_core(self, model: str) -> int:
        """How many of a model's users wait for a core."""
        return self._turns.waiting(model)

    def _arrives(self, file: ModelFile, order: Order, asker: Asker) -> Guest:
        now, rates = self._now(), self._rates_of(file)
        turn: asyncio.Future[VX11Error | None] = asyncio.get_running_loop().create_future()
        ask = self._ask_for(self._pool.ticket(), file, rates, order, asker)
        guest = Guest(ask, file, turn, now, correlation_id.get())
        self._guests[ask.ticket] = guest
        self._admitted(self._admission.asked(ask, now, self._opens_in(file)))
        return guest

    def _ask_for(self, ticket: int, file: ModelFile, rates: ModelRates, order: Order, asker: Asker) -> Ask:
        prompt = self._prompt_tokens(file, order)
        answer = 0.0 if order.path == _NO_ANSWER else rates.answer_tokens(order.max_tokens)
        left = deadline.seconds_left()
        return Ask(
            ticket=ticket,
            model=file.name,
            user=asker.user,
            share=asker.share_key,
            priority=asker.priority,
            seconds=rates.seconds(prompt, order.n * answer),
            stay_seconds=rates.stay_seconds(prompt, answer, self._parallel),
            tokens=prompt + round(order.n * answer),
            width=min(order.n, self._parallel),
            deadline=None if left is None else self._now() + left,
        )

    def _prompt_tokens(self, file: ModelFile, order: Order) -> int:
        """What a request asks to be read. Of a prompt beyond the context nothing is: it takes nobody's place."""
        if order.path == _NO_ANSWER:  # many texts, each with a context of its own
            return order.prompt_tokens_guess
        return min(order.prompt_tokens_guess, context_of(file, self._house.settings.switch.context_tokens))

    async def _waited(self, guest: Guest) -> bool:
        """Wait for the guest's turn, a second at most; whether it came. DeadlineExceeded when its time is up."""
        left = deadline.seconds_left()
        pause = _TELL_EVERY_SEC if left is None else min(_TELL_EVERY_SEC, left)
        done, _ = await asyncio.wait([guest.turn], timeout=pause)
        if not done and deadline.seconds_left() == 0:
            waited = self._now() - guest.arrived_at
            raise DeadlineExceeded(f"The deadline passed after {waited:.1f} s of waiting for {guest.ask.model}.")
        return bool(done)

    def _admitted(self, effects: list[Admitted]) -> None:
        for effect in effects:
            guest = self._guests[effect.ticket]
            if isinstance(effect, Enter):
                guest.step = "called"
                self._pool.want(effect.ticket, guest.file, partial(self._called, guest))
            else:
                del self._guests[effect.ticket]
                settle(guest.turn, effect.error)

    def _called(self, guest: Guest, refusal: VX11Error | None) -> None:
        """The model is there for a guest with a place, or will not be."""
        if refusal is not None:
            settle(guest.turn, refusal)
            return
        guest.step = "at the core"
        self._go(self._turns.wanted(guest.ask.ticket, guest.ask.model, self._now()))

    def _go(self, tickets: list[int]) -> None:
        now = self._now()
        for ticket in tickets:
            guest = self._guests[ticket]
            guest.step, guest.entered_at = "inside", now
            self._admission.started(ticket, guest.ask.model, now)
            guest.at_once = self._inside(guest.ask.model)
            settle(guest.turn, None)

    def _leaves(self, guest: Guest, ending: bytes) -> None:
        """A guest goes, wherever it stands. Who comes after takes the place before the model is given back: between
        the two it would look idle."""
        ticket, model, now = guest.ask.ticket, guest.ask.model, self._now()
        if ticket not in self._guests:
            return  # it was turned away
        if guest.step == "inside":
            seconds = self._learn(guest, ending, now)
            del self._guests[ticket]
            self._admitted(self._admission.left(ticket, model, now, seconds))
        else:
            del self._guests[ticket]
            self._admitted(self._admission.gave_up(ticket, model, now))
        self._go(self._turns.left(ticket, model, now))
        if guest.step in ("inside", "at the core"):
            self._pool.released(ticket, model)
        elif guest.step == "called":
            self._pool.gave_up(ticket, model)

    def _learn(self, guest: Guest, ending: bytes, now: float) -> float:
        """What the answer took of a model alone; of one that did not come to its end, what it took of the clock."""
        timings, rates = timings_in(ending), self._rates_of(guest.file)
        stayed = now - guest.entered_at
        if timings is None:
            return min(guest.ask.seconds, stayed)
        rates.learn(timings, max(1, round((guest.at_once + self._inside(guest.ask.model)) / 2)), stayed)
        return rates.seconds(timings.prompt_tokens, timings.answer_tokens)

    def _inside(self, model: str) -> int:
        return sum(one.started_at is not None for one in self._admission.inside(model))

    def _rates_of(self, file: ModelFile) -> ModelRates:
        return self._rates.of(file.name, file.sha256, file.size_bytes / _MIB)

    def _opens_in(self, file: ModelFile) -> float:
        """Seconds until a model is in memory, as far as one can know."""
        model = self._pool.model(file.name) or Model(file.name, 0)
        if model.stage is Stage.READY and not model.drains:
            return 0.0
        seconds = model.load_sec or self._rates_of(file).load_seconds
        return max(0.0, model.started_at + seconds - self._now()) if model.stage is Stage.LOADING else seconds

    def _now(self) -> float:
        return self._house.clock.monotonic()
