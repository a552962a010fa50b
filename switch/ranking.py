"""Who is asked, and in what order. Pure; told how everybody is, it decides and says why.

A named model is asked of those who offer exactly that model, never another, unless the caller allows it; with the
choice left open, all that may be chosen for the task stand by score. Who failed in the last 30 s stands behind who did
not. Who may not be asked (broken, resting, out of budget) is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from config.errors import BreakerOpen, Invalid, NotFound, TooManyRequests, Unavailable, UnknownModel, VX11Error
from switch.offers import Offer
from switch.score import Score

BUDGET, BROKEN, RESTING, UNFIT = "budget", "broken", "resting", "unfit"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller wants: `model` and `provider` None where the choice is left open; `task` chat, completion or
    embedding; `fallback`: another model may stand in for the named one; `kinds` keeps only such providers."""

    task: str
    model: str | None = None
    provider: str | None = None
    fallback: bool = False
    kinds: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """Why an engine may not be asked now: `kind` of bar, in words, and the seconds until it may be."""

    kind: str
    why: str
    retry_after_sec: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """One engine as it stands for one request."""

    offer: Offer
    score: Score
    failed_lately: bool = False
    bar: Bar | None = None

    def shown(self) -> dict[str, Any]:
        """For rows and answers: the engine, its score with every term, and what bars it."""
        return {
            "engine": self.offer.engine,
            "score": self.score.total,
            "terms": self.score.terms,
            "failed_lately": self.failed_lately,
            "excluded": self.bar.why if self.bar else None,
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """Engines in the order in which they are asked, those left out, and why the first is first."""

    asked: tuple[Standing, ...]
    left_out: tuple[Standing, ...]
    reason: str


def wanted(wish: Wish, offers: Iterable[Offer]) -> list[Offer]:
    """The offers a wish allows; UnknownModel, or NotFound for a provider that is not there."""
    known = list(offers)
    if wish.provider is not None:
        known = [offer for offer in known if offer.provider == wish.provider]
        if not known:
            raise NotFound(f"There is no provider called {wish.provider!r}.", hint="GET /switch/providers lists them.")
    if wish.kinds is not None:
        known = [offer for offer in known if offer.kind in wish.kinds]
    if wish.model is None:
        allowed = [offer for offer in known if wish.task in offer.tasks]
        if not allowed:
            raise UnknownModel(f"No enabled model is there for the task {wish.task!r}.")
        return allowed
    exact = [offer for offer in known if offer.model == wish.model]
    if not exact:
        raise _unknown(wish.model, known)
    others = [offer for offer in known if offer.model != wish.model and wish.task in offer.tasks]
    return exact + (others if wish.fallback else [])


def ranked(wish: Wish, standings: Iterable[Standing]) -> Choice:
    """The order in which a wish's engines are asked; an error that says when to come back where none may be."""
    all_ = sorted(standings, key=lambda standing: _place(wish, standing))
    asked = tuple(standing for standing in all_ if standing.bar is None)
    left_out = tuple(standing for standing in all_ if standing.bar is not None)
    if not asked:
        raise _nobody(left_out)
    return Choice(asked, left_out, _reason(wish, asked, left_out))


def _place(wish: Wish, standing: Standing) -> tuple[bool, bool, float, bool, str]:
    offer = standing.offer
    is_other = wish.model is not None and offer.model != wish.model
    return is_other, standing.failed_lately, -standing.score.total, not offer.ready, offer.engine


def _reason(wish: Wish, asked: tuple[Standing, ...], left_out: tuple[Standing, ...]) -> str:
    first = asked[0]
    if wish.model is not None and first.offer.model != wish.model:
        return f"fallback allowed by the caller: {wish.model} cannot be asked ({_bars(left_out)})"
    if wish.model is not None and len(asked) + len(left_out) == 1:
        return "named by the caller"
    how = "named by the caller, best provider" if wish.model is not None else "best"
    return f"{how} by score {first.score.total:.3f} of {len(asked)}" + (
        f"; left out: {_bars(left_out)}" if left_out else ""
    )


def _bars(standings: tuple[Standing, ...]) -> str:
    return ", ".join(f"{one.offer.engine}: {one.bar.why}" for one in standings if one.bar)


def _nobody(left_out: tuple[Standing, ...]) -> VX11Error:
    """What is told where nobody may be asked: all out of money is a 429, all broken the breaker, else unavailable."""
    bars = [standing.bar for standing in left_out if standing.bar]
    if all(bar.kind == UNFIT for bar in bars):
        return Invalid(f"Nobody can answer this: {_bars(left_out)}.")
    kinds = {bar.kind for bar in bars}
    waits = [bar.retry_after_sec for bar in bars if bar.retry_after_sec is not None]
    error = {frozenset({BUDGET}): TooManyRequests, frozenset({BROKEN}): BreakerOpen}.get(frozenset(kinds), Unavailable)
    return error(f"Nobody may be asked now: {_bars(left_out)}.", retry_after_sec=min(waits, default=None))


def _unknown(name: str, known: list[Offer]) -> UnknownModel:
    names: Mapping[str, None] = dict.fromkeys(sorted(offer.model for offer in known))
    hint = f"Enabled models: {', '.join(names)}." if names else "No model is enabled yet."
    return UnknownModel(f"There is no enabled model called {name!r}.", hint=hint)
