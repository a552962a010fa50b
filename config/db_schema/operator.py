"""Tables of the operator's room. Conversations come before it: madre's chat keeps them too, so `config` writes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from config.db_schema.base import Base


class Context7Session(Base):
    """One user's conversation, newest turns and topics (`config/context7.py`); gone once it has expired."""

    __tablename__ = "context_7_sessions"

    user: Mapped[str] = mapped_column(String(128), primary_key=True)
    session_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[datetime]
    used_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    topics: Mapped[list[Any]]
    turns: Mapped[list[Any]]
    dropped: Mapped[int]
