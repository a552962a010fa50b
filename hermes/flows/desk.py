"""What all flows of hermes share: the house, the shelf, the catalogue, one lock, and how changes are told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from config import audit
from config.app import House
from config.auth import Caller
from config.contracts.events import Severity
from config.db_schema.hermes import LocalModelV2, ModelDownload
from config.errors import UnknownModel
from config.memory import model_budget_mb
from hermes import store
from hermes.adapters.shelf import Shelf
from hermes.catalogue import Catalogue
from hermes.fits import Machine
from hermes.flows.catalogues import Catalogues
from hermes.rows import Registration, new_model, refresh_model


@dataclass(frozen=True, slots=True)
class Desk:
    """Shared by the flows. Whoever moves files of the shelf and their rows together holds `moving`."""

    house: House
    shelf: Shelf
    catalogues: Catalogues
    moving: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue as it is now."""
        return self.catalogues.current

    @property
    def machine(self) -> Machine:
        """What a model has to fit into."""
        settings = self.house.settings
        return Machine(
            budget_mb=model_budget_mb(settings),
            context_tokens=settings.switch.context_tokens,
            parallel=settings.switch.parallel,
            prefix_ram_mb=settings.switch.prefix_ram_mb,
        )

    @property
    def now(self) -> datetime:
        """The moment, for rows."""
        return self.house.clock.now()

    def model(self, session: Session, name: str) -> LocalModelV2:
        """The row called `name`; UnknownModel without one."""
        row = store.model_named(session, name)
        if row is None:
            raise UnknownModel(f"There is no model called {name!r} here.", hint="GET /hermes/models lists them.")
        return row

    def put(self, session: Session, name: str, registration: Registration) -> LocalModelV2:
        """Register a verified file under a name, or bring that name's row in line with it; tells of it.

        Whoever has the model loaded learns by `model.changed` and the hash before that its file is another one.
        """
        row = store.model_named(session, name)
        if row is None:
            row = new_model(name, registration, self.now)
            session.add(row)
            self.tell(session, "model.registered", row)
            return row
        before = row.sha256
        refresh_model(row, registration, self.now)
        if before == row.sha256:
            self.tell(session, "model.registered", row)
        else:
            self.tell(session, "model.changed", row, changes={"file": "replaced"}, before_sha256=before)
        return row

    def tell(self, session: Session, type: str, row: LocalModelV2, *, severity: Severity = "info", **more: Any) -> None:
        """Journal what happened to a model."""
        data = {
            "name": row.name,
            "sha256": row.sha256,
            "path": row.path,
            "size_bytes": row.size_bytes,
            "enabled": row.enabled,
            "compatibility": row.compatibility,
            **more,
        }
        self.house.journal.append(session, type, data, severity=severity)

    def tell_quarantined(self, session: Session, path: str, reason: str) -> None:
        """Journal that a file was put aside."""
        data = {"path": path[:1024], "reason": reason[:1024]}
        self.house.journal.append(session, "model.quarantined", data, severity="warning")

    def tell_job(self, session: Session, type: str, job: ModelDownload, *, severity: Severity = "info") -> None:
        """Journal how a job stands."""
        data = {
            "job_id": job.job_id,
            "kind": "model_download",
            "name": job.name,
            "state": job.state,
            "phase": job.phase,
            "bytes_done": job.bytes_done,
            "bytes_total": job.bytes_total,
            "rate_bytes_sec": job.rate_bytes_sec,
            "error": None if job.error is None else {key: job.error[key] for key in ("code", "detail", "hint")},
        }
        self.house.journal.append(session, type, data, severity=severity, correlation_id=job.correlation_id)

    def note(self, session: Session, caller: Caller, action: str, target: str, detail: dict[str, Any]) -> None:
        """Add a privileged act to the audit chain."""
        audit.append(session, caller, action, target, detail, now=self.now, service=self.house.service.name)
