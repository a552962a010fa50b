"""Everybody who can answer: what they offer, how they have done, what they have cost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from functools import cached_property

from config.app import House
from config.clients import ByteClient
from config.errors import UnknownModel, VX11Error
from switch import store
from switch.adapters.declarations import Declarations
from switch.adapters.endpoint import Endpoint
from switch.adapters.program import Program
from switch.adapters.provider import Provider
from switch.budgets import Budget, Exhausted, Spending, day_of
from switch.chat_answer import beyond_programs
from switch.declared import Declared
from switch.flows.locals import Locals
from switch.offers import LOCAL, Offer
from switch.orders import Order
from switch.programs import ProgramRow
from switch.ranking import BROKEN, BUDGET, RESTING, UNFIT, Bar, Choice, Standing, Wish, ranked, wanted
from switch.record import Record
from switch.score import Conditions, Facts, score

_log = logging.getLogger(__name__)
_FRESH_SEC = 1.0
_LISTED_FRESH_SEC = 60.0
_LISTED_AGAIN_SEC = 5.0
_LISTING_SEC = 3.0  # how long a request for a name nobody knows waits for it
_NEVER = float("-inf")


class Providers:
    """The engines of one Switch."""

    def __init__(self, house: House, local: Locals) -> None:
        settings = house.settings
        self._house = house
        self._local = local
        self._declarations = Declarations(settings.switch.providers_file or settings.data_path / "providers.toml")
        self._programs: dict[str, ProgramRow] = {}
        self._listed: dict[str, list[str]] = {}
        self._listed_at: dict[str, float] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._looked_at = _NEVER
        self._records: dict[str, Record] = {}
        self._spendings: dict[str, Spending] = {}

    async def choice(self, wish: Wish, order: Order, conditions: Conditions) -> Choice:
        """Who is asked for an order, in what order; raises where nobody may be."""
        offers = await self._wanted(wish)
        return ranked(wish, [self.standing(offer, order, conditions) for offer in offers])

    async def _wanted(self, wish: Wish) -> list[Offer]:
        try:
            return wanted(wish, await self.offers())
        except UnknownModel:  # it may be a moment old
            return wanted(wish, await self.offers(anew=True))

    async def offers(self, *, anew: bool = False) -> list[Offer]:
        """Every model at every provider, as it was at most a second ago."""
        if anew or self._now() - self._looked_at >= _FRESH_SEC:
            await self._look()
            await self._list_endpoints(_LISTED_AGAIN_SEC if anew else _LISTED_FRESH_SEC, wait=anew)
        local = await self._local.offers(anew=anew)
        return [*local, *self._endpoint_offers(), *self._program_offers()]

    async def _look(self) -> None:
        self._looked_at = self._now()
        await asyncio.to_thread(self._declarations.look)
        self._programs = {row.name: row for row in await self._house.db.reading(store.ready_programs)}

    async def _list_endpoints(self, fresh_sec: float, *, wait: bool) -> None:
        """Ask endpoints without declared models what they have; beside the requests, unless one waits for it."""
        now = self._now()
        due = [
            name
            for name, declared in self.declared.items()
            if declared.models is None and now - self._listed_at.get(name, _NEVER) >= fresh_sec
        ]
        for name in due:
            self._listed_at[name] = now
        asking = [asyncio.create_task(self._list(name)) for name in due]
        self._asking.update(asking)
        for task in asking:
            task.add_done_callback(self._asking.discard)
        if wait and self._asking:
            await asyncio.wait(set(self._asking), timeout=_LISTING_SEC)

    async def _list(self, name: str) -> None:
        try:
            self._listed[name] = await self._endpoint(name, self.declared[name]).models()
        except VX11Error as error:
            _log.warning("the models of %s are not known: %s", name, error.detail)
            self._listed.pop(name, None)

    @property
    def declared(self) -> dict[str, Declared]:
        """The enabled endpoints of the providers' file."""
        return {name: one for name, one in self._declarations.declared.items() if one.enabled}

    @property
    def trouble(self) -> str | None:
        """What is wrong with the providers' file."""
        return self._declarations.trouble

    @property
    def programs(self) -> dict[str, ProgramRow]:
        """The command-line programs that may be asked."""
        return self._programs

    def _endpoint_offers(self) -> Iterator[Offer]:
        for name, declared in self.declared.items():
            for model in declared.models if declared.models is not None else self._listed.get(name, ()):
                yield Offer(name, model, "endpoint", frozenset(declared.tasks), declared.prices)

    def _program_offers(self) -> Iterator[Offer]:
        for name, row in self._programs.items():
            if name not in self.declared and name != LOCAL:
                for model in row.offered:
                    yield Offer(name, model, "program", row.task_types)

    def provider(self, offer: Offer) -> Provider:
        """Who answers orders for an offer."""
        match offer.kind:
            case "local":
                return self._local.provider(offer)
            case "endpoint":
                return self._endpoint(offer.provider, self.declared[offer.provider])
            case "program":
                timeout = self._house.settings.switch.program_timeout_sec
                return Program(self._programs[offer.provider], self._house.clock, timeout)

    def _endpoint(self, name: str, declared: Declared) -> Endpoint:
        return Endpoint(name, declared, lambda: self._bytes)

    @cached_property
    def _bytes(self) -> ByteClient:
        return self._house.clients.streams()

    def record(self, offer: Offer) -> Record:
        """How an offer's engine has done: of each local model, of each provider elsewhere."""
        return self._records.setdefault(offer.engine if offer.kind == "local" else offer.provider, Record())

    def spending(self, provider: str) -> Spending:
        """What a provider has cost."""
        return self._spendings.setdefault(provider, Spending())

    def budget(self, provider: str) -> Budget:
        """What a provider may cost."""
        declared = self.declared.get(provider)
        return declared.budget if declared else Budget()

    def exhausted(self, provider: str) -> Exhausted | None:
        """The budget of a provider that is spent."""
        return self.spending(provider).exhausted(self.budget(provider), self._house.clock.now())

    @contextlib.contextmanager
    def holding(self, offer: Offer, order: Order) -> Iterator[None]:
        """Count what an order will about cost as spent while it is answered, so that many at once overdraw nothing."""
        guess = self._guess(offer, order)
        self.spending(offer.provider).held += guess
        try:
            yield
        finally:
            self.spending(offer.provider).held -= guess

    def cost(self, offer: Offer, order: Order, prompt_tokens: int | None, answer_tokens: int | None) -> float | None:
        """What an answer cost: by its usage, else as guessed; None where the provider has no prices."""
        if offer.prices is None:
            return None
        if prompt_tokens is None or answer_tokens is None:
            return self._guess(offer, order)
        return offer.prices.cost(prompt_tokens, answer_tokens)

    def standing(self, offer: Offer, order: Order, conditions: Conditions) -> Standing:
        """How an offer stands for an order now."""
        now, record = self._now(), self.record(offer)
        facts = Facts(
            kind=offer.kind,
            success=record.success(now),
            latency_sec=record.latency_sec,
            start_sec=offer.start_sec,
            cost=self._guess(offer, order),
            quota=self.spending(offer.provider).left(self.budget(offer.provider), self._house.clock.now()),
        )
        return Standing(offer, score(facts, conditions), record.failed_lately(now), self._bar(offer, order, now))

    def _bar(self, offer: Offer, order: Order, now: float) -> Bar | None:
        spent = self.exhausted(offer.provider)
        if spent is not None:
            wait = (spent.resets_at - self._house.clock.now()).total_seconds()
            return Bar(BUDGET, f"{spent.reason}; it begins anew at {spent.resets_at:%Y-%m-%d %H:%M} UTC", wait)
        closed = self.record(offer).closed(now)
        if closed is not None:
            kind = RESTING if now < self.record(offer).rests_until else BROKEN
            return Bar(kind, closed[0], closed[1])
        beyond = beyond_programs(order.request) if offer.kind == "program" else []
        return Bar(UNFIT, f"a program cannot honour {', '.join(beyond)}") if beyond else None

    @staticmethod
    def _guess(offer: Offer, order: Order) -> float:
        if offer.prices is None:
            return 0.0
        return offer.prices.guess(order.prompt_tokens_guess, order.max_tokens, order.n)

    def _now(self) -> float:
        return self._house.clock.monotonic()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Know what everybody has cost this month; leave nothing under way when the service stops."""
        costs = await self._house.db.reading(store.costs_of_month, day_of(self._house.clock.now())[:7])
        self._spendings = {name: Spending(by_day) for name, by_day in costs.items()}
        try:
            yield
        finally:
            for task in tuple(self._asking):
                task.cancel()
            await asyncio.gather(*self._asking, return_exceptions=True)
