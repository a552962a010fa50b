"""The audit trail: a hash chain that nobody can rewrite in the middle without it showing.

Each row's hash is SHA-256 over the previous row's hash and the row's own fields in canonical JSON
(sorted keys, no white space). Appending happens inside the unit of work of the act itself, so an act
and its trace are kept or lost together; writers take turns (`config/db.py`), so no two take the same link.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.db_schema.kernel import AuditLog
from config.logs import correlation_id, redacted

if TYPE_CHECKING:
    from config.auth import Caller

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What verifying found: `rows` read, and the first row that does not fit, if any."""

    rows: int
    broken_at: int | None

    @property
    def is_intact(self) -> bool:
        """Whether every row's hash follows from the row before it."""
        return self.broken_at is None


def append(
    session: Session,
    caller: Caller,
    action: str,
    target: str,
    detail: dict[str, Any] | None = None,
    *,
    now: datetime,
    service: str,
) -> None:
    """Add one act to the chain, inside the caller's write unit of work."""
    previous = session.scalar(select(AuditLog.hash).order_by(AuditLog.id.desc()).limit(1)) or GENESIS
    row = AuditLog(
        at=now,
        user=caller.user,
        role=caller.role.value,
        service=service,
        action=action,
        target=target,
        detail=json.loads(redacted(json.dumps(detail or {}))),
        correlation_id=correlation_id.get(),
        previous_hash=previous,
    )
    row.hash = _link(row)
    session.add(row)
    session.flush()


def verify(session: Session) -> ChainReport:
    """Recompute the whole chain; retention may have cut its head, so the first row's link is taken as given."""
    rows, expected = 0, None
    with session.scalars(select(AuditLog).order_by(AuditLog.id).execution_options(yield_per=500)) as chain:
        for row in chain:
            rows += 1
            follows = expected is None or row.previous_hash == expected
            if not follows or row.hash != _link(row):
                return ChainReport(rows, row.id)
            expected = row.hash
    return ChainReport(rows, None)


def _link(row: AuditLog) -> str:
    fields = {
        "at": row.at.astimezone(UTC).isoformat(),
        "user": row.user,
        "role": row.role,
        "service": row.service,
        "action": row.action,
        "target": row.target,
        "detail": row.detail,
        "correlation_id": row.correlation_id,
    }
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"{row.previous_hash}\n{canonical}".encode()).hexdigest()
