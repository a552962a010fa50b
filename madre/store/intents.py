"""SQL of `intents_log`: every intent that was read, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session

from config.contracts.intents import Intent
from config.contracts.plans import Risk
from config.db_schema.madre import IntentLog
from madre.plan import Asked


def log_intents(
    session: Session,
    intents: Iterable[Intent],
    asked: Asked,
    now: datetime,
    *,
    outcome: str,
    plan_id: str | None = None,
    risks: Iterable[Risk] = (),
) -> None:
    """Keep what was read out of one sentence; `outcome` is `planned`, `chat` or the code of why nothing was done.

    `risks` are those of the steps that the intents became, in their order.
    """
    judged = list(risks)
    for number, intent in enumerate(intents):
        risk = judged[number] if number < len(judged) else None
        session.add(
            IntentLog(
                at=now,
                user=asked.user,
                source=asked.source,
                session_id=asked.session_id,
                correlation_id=asked.correlation_id,
                text=intent.original_text,
                domain=intent.domain.value,
                action=intent.action,
                target=intent.target and intent.target[:256],
                parameters=intent.parameters,
                confidence=intent.confidence,
                risk=risk and risk.value,
                warnings=intent.warnings,
                outcome=outcome,
                plan_id=plan_id,
            )
        )
