"""A prompt answered: who is asked is chosen, the next one is asked when that one fails, all of it leaves rows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator

from config import deadline
from config.app import House
from config.auth import Caller
from config.errors import BreakerOpen, NotFound, UnknownModel, VX11Error
from config.logs import correlation_id
from config.streaming import Head
from switch.account import Account, Usage
from switch.choose import asked, name_in
from switch.delivery import Delivery, headers_of
from switch.failures import BrokenOff, verdict
from switch.flows.ledger import Ledger
from switch.flows.providers import Providers
from switch.flows.weather import Weather
from switch.orders import AUTO, Order, asker_of, order_from
from switch.ranking import Standing, Wish
from switch.rows import bills_of, rows_of
from switch.trace import Occasion, Trace
from switch.waiting import Waiting

Answer = AsyncGenerator[Head | bytes, None]
_TASKS = {"/v1/chat/completions": "chat", "/v1/completions": "completion", "/v1/embeddings": "embedding"}
_NOTHING_CHOSEN = {None, NotFound.code, UnknownModel.code}  # a mistyped name is no decision


class Completions:
    """Answers prompts."""

    def __init__(self, house: House, providers: Providers, weather: Weather, ledger: Ledger) -> None:
        self._house = house
        self._providers = providers
        self._weather = weather
        self._ledger = ledger

    def openai(self, path: str, body: bytes, caller: Caller) -> Answer:
        """The answer to an OpenAI request; the model `auto` leaves the choice open, `metadata.fallback` widens it."""
        request = asked(body)
        name = name_in(request)
        task = _TASKS[path]
        metadata = request.get("metadata")
        fallback = isinstance(metadata, dict) and metadata.get("fallback") in (True, "true")
        wish = Wish(task, None if name == AUTO else name, fallback=fallback)
        return self.answer(self.trace(order_from(path, body, request), wish, caller, Occasion(task, task)))

    def trace(self, order: Order, wish: Wish, caller: Caller, occasion: Occasion) -> Trace:
        """The beginning of a request; give it to `answer`, and read from it afterwards what came of it."""
        return Trace(
            order=order,
            asker=asker_of(caller),
            wish=wish,
            occasion=occasion,
            account=Account(self._now()),
            at=self._house.clock.now(),
            correlation_id=correlation_id.get(),
        )

    async def answer(self, trace: Trace) -> Answer:
        """The answer, byte for byte: its head, which says who answers and why, then pieces.

        Raises, before the head, what is wrong with the request or with everybody who could be asked; afterwards an
        error is told in the stream. Leaves rows of choice, decision and cost in any case.
        """
        try:
            with self._house.work.doing("completion"):
                trace.choice = await self._providers.choice(trace.wish, trace.order, self._weather.conditions)
                async with contextlib.aclosing(self._asked_in_turn(trace)) as items:
                    async for item in items:
                        yield item
                trace.account.ended()
        except VX11Error as error:
            trace.account.broke = trace.account.broke or error.code
            raise
        finally:
            # Whoever hangs up at the last byte has had the answer: its rows are kept all the same.
            await asyncio.shield(self._keep(trace))

    async def _asked_in_turn(self, trace: Trace) -> Answer:
        """The answer of the first engine that gives one; the error of the last where none does."""
        assert trace.choice is not None
        failure: VX11Error | None = None
        for standing in trace.choice.asked:
            if standing.offer.kind != "local" and not self._providers.record(standing.offer).breaker.admits(
                self._now()
            ):
                continue  # it is being tried by another request
            trace.chosen = standing
            try:
                async with contextlib.aclosing(self._asked(standing, trace)) as items:
                    async for item in items:
                        yield item
                return
            except VX11Error as error:
                if not self._next_may_be_asked(standing, trace, error):
                    raise
                failure = error
        raise failure or BreakerOpen("Everybody who could answer failed a moment ago.", retry_after_sec=1)

    def _next_may_be_asked(self, standing: Standing, trace: Trace, error: VX11Error) -> bool:
        """Note a failure before the first byte, and whether another engine may be asked."""
        record, now = self._providers.record(standing.offer), self._now()
        found = verdict(error, standing.offer.kind, time_is_up=deadline.seconds_left() == 0)
        if found.counts:
            record.failed(now, breaks=standing.offer.kind != "local")
        else:
            record.breaker.given_up()
        if found.rest_sec is not None:
            record.rests(now + found.rest_sec, error.detail)
        is_last = trace.choice is not None and standing is trace.choice.asked[-1]
        if found.falls_back and not is_last:
            trace.failed.append((standing, trace.account.broke or error.code))
            trace.account.broke, trace.chosen = None, None
        return found.falls_back

    async def _asked(self, standing: Standing, trace: Trace) -> Answer:
        """One engine's answer. An error before the first byte is raised, a later one ends the answer."""
        offer, account = standing.offer, trace.account
        order = trace.order.for_model(offer.model)
        headers = headers_of(offer.provider, offer.model, trace.decision)
        tells = trace.occasion.tells_waiting
        delivery = Delivery(headers, account.began, streams=order.stream, tells=tells)
        items = self._providers.provider(offer).ask(order, trace.asker)
        try:
            with self._providers.holding(offer, order), self._charging(standing, trace):
                async with contextlib.aclosing(items):
                    async for item in items:
                        for given in self._given(item, delivery, trace):
                            yield given
            for given in delivery.ended():
                yield given
            self._answered(standing, trace)
        except BrokenOff as broke:
            account.broke = broke.code
            if delivery.begun:
                self._providers.record(offer).failed(self._now(), breaks=offer.kind != "local")
            for given in delivery.failed(broke.error):
                yield given
        except VX11Error as error:
            if not delivery.begun:
                raise
            account.broke = error.code
            self._next_may_be_asked(standing, trace, error)
            for given in delivery.failed(error):
                yield given
        finally:
            self._providers.record(offer).breaker.given_up()  # of a try that was dropped; else it means nothing

    def _given(self, item: Head | Waiting | Usage | bytes, delivery: Delivery, trace: Trace) -> list[Head | bytes]:
        if isinstance(item, bytes):
            trace.account.piece(item, self._now())
            return delivery.piece(item)
        if isinstance(item, Head):
            trace.started_at = self._house.clock.now()
            trace.account.begins(item.status, dict(item.headers).get(b"content-type", b""))
            return delivery.head(item)
        if isinstance(item, Waiting):
            return delivery.waiting(item, self._now())
        trace.account.usage = item
        return []

    def _answered(self, standing: Standing, trace: Trace) -> None:
        status = trace.account.status
        if status is not None and status < 400:
            now = self._now()
            self._providers.record(standing.offer).succeeded(now, trace.account.latency_ms(now) / 1000)

    @contextlib.contextmanager
    def _charging(self, standing: Standing, trace: Trace) -> Iterator[None]:
        """Charge what the answer cost, however much of it there is, before what was held for it is let go."""
        try:
            yield
        finally:
            account, offer = trace.account, standing.offer
            if account.status is not None and account.status < 400:
                tokens = account.prompt_tokens, account.completion_tokens
                trace.cost = self._providers.cost(offer, trace.order, *tokens)
                if trace.cost is not None:
                    self._providers.spending(offer.provider).spent(self._house.clock.now(), trace.cost)

    async def _keep(self, trace: Trace) -> None:
        if trace.choice is None and trace.account.broke in _NOTHING_CHOSEN:
            return
        now, latency = self._house.clock.now(), trace.account.latency_ms(self._now())
        rows = rows_of(trace, self._weather.conditions, now, latency)
        bills = bills_of(trace, now, latency)
        if trace.cost is None and not trace.occasion.has_row:
            self._ledger.keep_safely(rows, bills)
        else:
            await self._ledger.keep_now(rows, bills)  # money, and tasks, are in the database before anybody is told

    def _now(self) -> float:
        return self._house.clock.monotonic()
