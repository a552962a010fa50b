"""Who would answer, how everybody has done, and what they may cost: the calls that look at engines or tell of them."""

from __future__ import annotations

from collections.abc import Iterable

from config.app import House
from config.contracts.engines import (
    BudgetState,
    EngineHealth,
    EngineResult,
    EngineScore,
    EnginesStatus,
    ProviderCard,
    ProviderCards,
    SelectedEngine,
    SelectEngine,
    SwitchContext,
)
from config.contracts.serving import ModelCard, ModelCards, QueueStatus
from config.errors import NotFound, UnknownModel, VX11Error
from switch.budgets import day_of
from switch.flows.ledger import Ledger
from switch.flows.providers import Providers
from switch.flows.weather import Weather
from switch.offers import LOCAL, Offer
from switch.orders import Order, order_from
from switch.ranking import Choice, Standing, Wish, ranked, wanted
from switch.rows import Bill


class Engines:
    """Every engine, looked at."""

    def __init__(self, house: House, providers: Providers, weather: Weather, ledger: Ledger) -> None:
        self._house = house
        self._providers = providers
        self._weather = weather
        self._ledger = ledger

    async def cards(self) -> ModelCards:
        """Every model that can be named, as OpenAI lists them; one that several offer once."""
        offers = await self._providers.offers(anew=True)
        cards: dict[str, ModelCard] = {}
        for offer in sorted(offers, key=lambda offer: (offer.model, offer.kind != "local", offer.provider)):
            cards.setdefault(offer.model, _card(offer))
        return ModelCards(data=list(cards.values()))

    async def card(self, name: str) -> ModelCard:
        """One model, as OpenAI shows it."""
        found = next((card for card in (await self.cards()).data if card.id == name), None)
        if found is None:
            raise UnknownModel(f"There is no enabled model called {name!r}.", hint="GET /v1/models lists them.")
        return found

    async def select(self, body: SelectEngine) -> SelectedEngine:
        """Who would answer a query now."""
        wish, order = Wish(body.task_type), _order(body.query)
        standings = self._standings(await self._among(wish, body.available_engines), order)
        choice = ranked(wish, standings)
        return SelectedEngine(
            engine=choice.asked[0].offer.engine,
            profile=self._weather.conditions.profile.value,
            healthy_engines=[standing.offer.engine for standing in choice.asked],
            scores=_scores(choice.asked + choice.left_out),
        )

    async def _among(self, wish: Wish, names: list[str] | None) -> list[Offer]:
        offers = wanted(wish, await self._providers.offers())
        if names is None:
            return offers
        kept = [offer for offer in offers if offer.engine in names or offer.provider in names]
        if not kept:
            raise NotFound("None of the available engines is known here.", hint="GET /switch/hermes/status lists them.")
        return kept

    def _standings(self, offers: Iterable[Offer], order: Order) -> list[Standing]:
        conditions = self._weather.conditions
        return [self._providers.standing(offer, order, conditions) for offer in offers]

    async def record(self, body: EngineResult) -> EngineHealth:
        """Count a result somebody else had with an engine; NotFound for one that is not there."""
        offer = next((one for one in await self._providers.offers() if body.engine in (one.engine, one.provider)), None)
        if offer is None:
            raise NotFound(f"There is no engine {body.engine!r}.", hint="GET /switch/hermes/status lists them.")
        record, now = self._providers.record(offer), self._house.clock.monotonic()
        if body.success:
            record.succeeded(now, None if body.latency_ms is None else body.latency_ms / 1000)
        else:
            record.failed(now, breaks=offer.kind != LOCAL)
        moment = self._house.clock.now()
        bill = Bill(offer.provider, day_of(moment), not body.success, None, None, None, body.latency_ms or 0.0, moment)
        self._ledger.keep([], [bill])
        return self._health(offer)

    async def status(self) -> EnginesStatus:
        """How every engine has done."""
        engines = [self._health(offer) for offer in await self._providers.offers(anew=True)]
        return EnginesStatus(healthy=sum(engine.excluded is None for engine in engines), engines=engines)

    def _health(self, offer: Offer) -> EngineHealth:
        now, record = self._house.clock.monotonic(), self._providers.record(offer)
        bar = self._providers.standing(offer, _order(""), self._weather.conditions).bar
        return EngineHealth(
            engine=offer.engine,
            kind=offer.kind,
            ready=offer.ready,
            success=round(record.success(now), 4),
            latency_ms=None if record.latency_sec is None else round(record.latency_sec * 1000, 3),
            requests=record.requests,
            failures=record.failures,
            breaker="closed" if record.breaker.opened_at is None else "open",
            excluded=bar.why if bar else None,
            retry_after_sec=bar.retry_after_sec if bar else None,
        )

    async def providers(self) -> ProviderCards:
        """Every provider with what it offers and what it may cost."""
        offers = await self._providers.offers(anew=True)
        names = dict.fromkeys([LOCAL, *self._providers.declared, *self._providers.programs])
        cards = [self._provider(name, [offer for offer in offers if offer.provider == name]) for name in names]
        return ProviderCards(providers=cards, trouble=self._providers.trouble)

    def _provider(self, name: str, offers: list[Offer]) -> ProviderCard:
        declared = self._providers.declared.get(name)
        kind = "local" if name == LOCAL else "endpoint" if declared else "program"
        healths = [self._health(offer) for offer in offers]
        is_out = bool(healths) and all(health.excluded for health in healths)
        return ProviderCard(
            name=name,
            kind=kind,  # type: ignore[arg-type]  # one of the three
            url=declared.url if declared else None,
            models=sorted(offer.model for offer in offers),
            has_key=bool(declared and declared.api_key),
            price_in=declared.price_in if declared else None,
            price_out=declared.price_out if declared else None,
            budget=self._budget(name),
            excluded=healths[0].excluded if is_out else None if healths else "it offers no model now",
        )

    def _budget(self, name: str) -> BudgetState:
        now, spending, budget = self._house.clock.now(), self._providers.spending(name), self._providers.budget(name)
        spent = self._providers.exhausted(name)
        return BudgetState(
            spent_day=round(spending.of_day(now), 6),
            spent_month=round(spending.of_month(now), 6),
            budget_day=budget.day,
            budget_month=budget.month,
            exhausted=spent.reason if spent else None,
            resets_at=spent.resets_at if spent else None,
        )

    async def context(self, queue: QueueStatus) -> SwitchContext:
        """What a prompt would meet now."""
        mode = self._weather.shown()
        wish = Wish("chat")
        providers = (await self.providers()).providers
        standings = self._standings([one for one in await self._providers.offers() if "chat" in one.tasks], _order(""))
        choice, why = _tried(wish, standings)
        return SwitchContext(
            mode=mode,
            fluzo=self._weather.fluzo(),
            would_answer=choice.asked[0].offer.engine if choice else None,
            why=why,
            scores=_scores(tuple(standings) if choice is None else choice.asked + choice.left_out),
            providers=providers,
            in_use=queue.in_use,
            waiting=queue.waiting,
        )


def _tried(wish: Wish, standings: list[Standing]) -> tuple[Choice | None, str]:
    if not standings:
        return None, "No enabled chat model is there."
    try:
        choice = ranked(wish, standings)
    except VX11Error as error:
        return None, error.detail
    return choice, choice.reason


def _card(offer: Offer) -> ModelCard:
    return ModelCard(
        id=offer.model, created=offer.created, owned_by="vx11" if offer.kind == "local" else offer.provider
    )


def _scores(standings: tuple[Standing, ...]) -> list[EngineScore]:
    return [EngineScore.model_validate(standing.shown()) for standing in standings]


def _order(text: str) -> Order:
    request = {"messages": [{"role": "user", "content": text}]}
    return order_from("/v1/chat/completions", b"", request)
