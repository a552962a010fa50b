"""The models: at least one is enabled and can chat, and each enabled one is the file its row speaks of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from config.db import Database
from config.db_schema import LocalModelV2
from config.errors import VX11Error
from config.memory import model_budget_mb
from config.settings import Settings
from scripts.doctor.finding import Finding, failure, ok
from scripts.quantities import bytes_in_words
from scripts.readiness.database import is_there

_PULL = "./vx11 models pull smollm2-135m-instruct"


def examine(settings: Settings) -> list[Finding]:
    """All findings."""
    if not is_there(settings):
        return [failure("models", "Without a database there is no registry of models.", "Start the fleet: ./vx11 up")]
    database = Database(settings.resolved_database_url)
    try:
        with database.read() as session:
            rows = _enabled(session)
    except VX11Error as error:
        return [failure("models", error.detail, "See the findings on the database.")]
    finally:
        database.close()
    return [any_chat(rows), *(file_of(row, settings.models_path) for row in rows), budget(settings)]


def _enabled(session: Session) -> list[LocalModelV2]:
    if not inspect(session.connection()).has_table(LocalModelV2.__tablename__):
        return []
    return list(session.scalars(select(LocalModelV2).where(LocalModelV2.enabled)))


def any_chat(rows: Sequence[LocalModelV2]) -> Finding:
    """Whether somebody can answer a chat."""
    able = [row.name for row in rows if row.task_type == "chat"]
    return ok("models", f"can chat: {', '.join(able)}") if able else failure("models", "None can chat.", _PULL)


def file_of(row: LocalModelV2, folder: Path) -> Finding:
    """Whether a model's file is there, whole as far as its size tells."""
    file = folder / row.path
    try:
        found = file.stat().st_size
    except OSError:
        return failure(row.name, f"Its file {row.path} is gone.", "POST /hermes/scan brings the registry up to date.")
    if found != row.size_bytes:
        words = f"Its file {row.path} has {found} bytes, its row says {row.size_bytes}."
        return failure(row.name, words, f"./vx11 models remove {row.name}, and pull it again.")
    return ok(row.name, bytes_in_words(found))


def budget(settings: Settings) -> Finding:
    """What models may take together."""
    return ok("model memory", f"{model_budget_mb(settings)} MiB for all models together")
