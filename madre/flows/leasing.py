"""Taking a lease on services: admission and the window's row in one write, so that two cannot both slip in."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from config import audit
from config.app import House
from config.auth import Caller
from config.contracts.power import Policy
from config.db_schema import new_id
from config.memory import fleet_mb
from config.services import FLEET
from madre import windows
from madre.admission import admit
from madre.desired import desired
from madre.flows.record import announce
from madre.store import power as store
from madre.windows import Lease, Window

_DECLARED_MB = {service.name: service.memory_mb for service in FLEET.values()}


class Leasing:
    """Opens and renews windows inside a unit of work."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._present = house.present
        self._budget_mb = house.settings.power.memory_mb or fleet_mb(house.settings) // 4

    def policy(self, session: Session) -> Policy:
        """The policy in force; the first one of a new database is a setting."""
        return store.policy(session) or self._house.settings.power.policy

    def take(self, session: Session, lease: Lease, caller: Caller) -> Window:
        """The window that `lease` means: a new one, if it fits, or the one there is, for longer."""
        now, live = self._house.clock.now(), store.live_windows(session)
        again = windows.same_as(lease, live)
        if again is None:
            window = windows.new(new_id("window"), lease, now)
            self.admit(self.policy(session), [*live, window])
            return self.changed(session, window, caller, "power.window.open")
        window = windows.renewed(again, lease.ttl_sec, now)
        if lease.mode == "hold":
            window = windows.held(window, True, now, lease.cap_sec)
        if lease.origin == "wake":  # slides with every use: a row, but nothing anybody wants to read about
            store.keep_window(session, window)
            return window
        return self.changed(session, window, caller, "power.window.extend")

    def admit(self, policy: Policy, live: Sequence[Window]) -> None:
        """NotEnoughMemory unless everything that `policy` and `live` want up fits the budget."""
        admit(desired(policy, live, self._present), _DECLARED_MB, self._budget_mb)

    def changed(self, session: Session, window: Window, caller: Caller, action: str) -> Window:
        """Keep a changed window, with its audit entry and its event."""
        store.keep_window(session, window)
        detail = {"services": list(window.services), "mode": window.mode, "deadline": window.deadline.isoformat()}
        now = self._house.clock.now()
        audit.append(session, caller, action, window.window_id, detail, now=now, service="madre")
        announce(self._house, session, window)
        return window
