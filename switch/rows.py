"""What a finished request leaves in the database. Pure: from a trace to rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from config.db_schema import CliUsageStat, IaDecision, ModelUsageStat, RoutingEvent, SwitchQueueV2, new_id
from config.db_schema.base import Base
from switch.budgets import day_of
from switch.ranking import Standing
from switch.score import Conditions
from switch.trace import Trace

_STATES = {"ok": "DONE", "cancelled": "CANCELLED"}
_NAME, _OUTCOME = 128, 16


@dataclass(frozen=True, slots=True)
class Bill:
    """What one request adds to its provider's day; `cost` None where it has no prices."""

    provider: str
    day: str
    failed: bool
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None
    latency_ms: float
    at: datetime


def state_of(outcome: str) -> str:
    """The state of a queue row whose request ended so."""
    return _STATES.get(outcome, "ERROR")


def rows_of(trace: Trace, conditions: Conditions, now: datetime, latency_ms: float) -> list[Base]:
    """Its life, each choice, the decision, and what it cost."""
    rows: list[Base] = [] if trace.occasion.has_row else [life_of(trace, now)]
    rows += [_choice(trace, standing, f"asked, failed: {code}") for standing, code in trace.failed]
    rows.append(_decision(trace, conditions, latency_ms))
    chosen = trace.chosen
    if chosen is not None:
        rows.append(_choice(trace, chosen, trace.decision))
        rows.append(_program_use(trace, chosen, latency_ms) if chosen.offer.kind == "program" else
                    _model_use(trace, chosen, latency_ms))  # fmt: skip
    return rows


def bills_of(trace: Trace, now: datetime, latency_ms: float) -> list[Bill]:
    """What it adds to the days of the providers that were asked; who failed before the first byte cost nothing."""
    day = day_of(now)
    bills = [Bill(standing.offer.provider, day, True, 0, 0, None, 0.0, now) for standing, _ in trace.failed]
    if trace.chosen is not None:
        account = trace.account
        failed = trace.outcome not in ("ok", "refused", "cancelled")
        tokens = account.prompt_tokens, account.completion_tokens
        bills.append(Bill(trace.chosen.offer.provider, day, failed, *tokens, trace.cost, latency_ms, now))
    return bills


def life_of(trace: Trace, now: datetime) -> SwitchQueueV2:
    """The request's life as a row."""
    offer = trace.chosen.offer if trace.chosen else None
    return SwitchQueueV2(
        id=trace.occasion.row_id or new_id("ask"),
        kind=trace.occasion.kind,
        state=state_of(trace.outcome),
        priority=trace.asker.priority,
        user=trace.asker.user,
        source=trace.occasion.source,
        task_type=trace.occasion.task_type,
        correlation_id=trace.correlation_id,
        provider=offer.provider if offer else None,
        model=offer.model if offer else (trace.wish.model or "")[:_NAME] or None,
        prompt_tokens_guess=trace.order.prompt_tokens_guess,
        attempts=len(trace.failed) + (1 if offer else 0),
        enqueued_at=trace.at,
        started_at=trace.started_at,
        finished_at=now,
        payload=None,
        result=None,
        error=None if state_of(trace.outcome) != "ERROR" else {"code": trace.outcome},
    )


def _choice(trace: Trace, standing: Standing, reason: str) -> RoutingEvent:
    return RoutingEvent(
        at=trace.at,
        correlation_id=trace.correlation_id,
        user=trace.asker.user,
        provider=standing.offer.provider,
        model=standing.offer.model,
        score=standing.score.total,
        reason=reason,
        detail=_detail(trace, standing),
    )


def _detail(trace: Trace, standing: Standing) -> dict[str, Any]:
    others = () if trace.choice is None else trace.choice.asked + trace.choice.left_out
    return {
        "terms": standing.score.terms,
        "named": trace.wish.model,
        "fallback_allowed": trace.wish.model is None or trace.wish.fallback,
        "others": [other.shown() for other in others if other.offer.engine != standing.offer.engine],
    }


def _decision(trace: Trace, conditions: Conditions, latency_ms: float) -> IaDecision:
    chosen = trace.chosen
    known = () if trace.choice is None else trace.choice.asked + trace.choice.left_out
    return IaDecision(
        at=trace.at,
        correlation_id=trace.correlation_id,
        user=trace.asker.user,
        kind=trace.occasion.kind,
        task_type=trace.occasion.task_type,
        session_id=trace.occasion.session_id,
        mode=conditions.mode.value,
        profile=conditions.profile.value,
        provider=chosen.offer.provider if chosen else None,
        model=chosen.offer.model if chosen else None,
        decision=trace.decision,
        score=chosen.score.total if chosen else None,
        alternatives=[
            {"engine": one.offer.engine, "score": one.score.total, "excluded": one.bar.why if one.bar else None}
            for one in known
        ],
        fallback_from=trace.fallback_from,
        outcome=trace.outcome[:_OUTCOME],
        latency_ms=latency_ms,
    )


def _model_use(trace: Trace, standing: Standing, latency_ms: float) -> ModelUsageStat:
    account = trace.account
    return ModelUsageStat(
        at=trace.at,
        provider=standing.offer.provider,
        model=standing.offer.model,
        user=trace.asker.user,
        correlation_id=trace.correlation_id,
        outcome=trace.outcome[:_OUTCOME],
        prompt_tokens=account.prompt_tokens,
        completion_tokens=account.completion_tokens,
        ttft_ms=account.ttft_ms,
        latency_ms=latency_ms,
        finish_reason=account.finish_reason,
        cost=trace.cost,
    )


def _program_use(trace: Trace, standing: Standing, latency_ms: float) -> CliUsageStat:
    offer = standing.offer
    return CliUsageStat(
        at=trace.at,
        provider=offer.provider,
        model=offer.model if offer.model != offer.provider else None,
        user=trace.asker.user,
        correlation_id=trace.correlation_id,
        outcome=trace.outcome[:_OUTCOME],
        prompt_bytes=len(trace.order.body),
        answer_bytes=trace.account.pieces_bytes,
        latency_ms=latency_ms,
    )
