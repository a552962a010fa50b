"""The audit trail: a hash chain that nobody can rewrite, or shorten at its head, without it showing.

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

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from config.db_schema.kernel import AuditLog
from config.logs import correlation_id, redacted

if TYPE_CHECKING:
    from config.auth import Caller

GENESIS = "0" * 64
CUT = "audit.cut"  # what retention leaves behind: where the chain begins from now on


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


def cut_head(session: Session, caller: Caller, before: datetime, at_most: int, *, now: datetime, service: str) -> int:
    """Delete up to `at_most` rows from the beginning of the chain, as far as they are older than `before`; how many.

    The same unit of work appends an act that says where the chain begins from now on. Rows go in their own order up to
    the first that is young enough: where the clock was set back, an old one behind it stays.
    """
    young = session.scalar(select(func.min(AuditLog.id)).where(AuditLog.at >= before))
    old = select(AuditLog.id, AuditLog.hash).order_by(AuditLog.id).limit(at_most)
    head = session.execute(old if young is None else old.where(AuditLog.id < young)).all()
    if not head:
        return 0
    last, link = head[-1]
    append(session, caller, CUT, "audit_logs", {"head": link, "rows": len(head)}, now=now, service=service)
    session.execute(delete(AuditLog).where(AuditLog.id <= last))
    return len(head)


def verify(session: Session) -> ChainReport:
    """Recompute the whole chain. It begins at its genesis, or where the last act of retention in it says."""
    rows, begins, first, expected = 0, GENESIS, None, None
    with session.scalars(select(AuditLog).order_by(AuditLog.id).execution_options(yield_per=500)) as chain:
        for row in chain:
            rows += 1
            first = first or row
            follows = expected is None or row.previous_hash == expected
            if not follows or row.hash != _link(row):
                return ChainReport(rows, row.id)
            if row.action == CUT:
                begins = str(row.detail.get("head"))
            expected = row.hash
    if first is not None and first.previous_hash != begins:
        return ChainReport(rows, first.id)
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
