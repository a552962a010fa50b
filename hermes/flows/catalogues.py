"""The catalogue as it is now: the built-in one and the user's own, which may change while hermes runs."""

from __future__ import annotations

import asyncio

from sqlalchemy.orm import Session

from config.db import Database
from config.events import Journal
from hermes.adapters.own_file import OwnFile
from hermes.catalogue import Catalogue


class Catalogues:
    """Holds the catalogue that counts; `own` is the user's."""

    def __init__(self, built_in: Catalogue, own: OwnFile[Catalogue]) -> None:
        self._built_in = built_in
        self._own = own
        self.current = built_in

    @property
    def problem(self) -> str | None:
        """Why the user's file, as it is now, does not count."""
        return self._own.problem

    async def refresh(self, database: Database, journal: Journal) -> None:
        """Read the user's file again where it has changed; tells of it."""
        if not (self._own.is_watched and await asyncio.to_thread(self._own.reread)):
            return
        before, self.current = self.current, self._built_in.with_own(self._own.value)
        await database.writing(self._tell, journal, before)

    def _tell(self, session: Session, journal: Journal, before: Catalogue) -> None:
        if self.problem is not None:
            journal.append(session, "catalogue.broken", {"problem": self.problem}, severity="warning")
            return
        old, new = before.entries, self.current.entries
        changed = [name for name in new if name in old and new[name] != old[name]]
        data = {"added": [*(new.keys() - old.keys())], "removed": [*(old.keys() - new.keys())], "changed": changed}
        journal.append(session, "catalogue.changed", {kind: sorted(names)[:20] for kind, names in data.items()})
