"""`GET /vx11/status`: what is really running, and the door's window calls (CONTRACT, section 3)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from config.contracts.base import Answer, Request, Timestamp
from config.contracts.power import PolicyState, Reason, ServiceFigures, ServiceState, TtlSeconds, Window, WindowMode
from config.contracts.serving import QueueStatus


class FleetService(Answer):
    """One service of the table; `memory_mb` is null where it was not measured."""

    name: str
    port: int
    state: ServiceState
    memory_mb: float | None
    restarts: int
    figures: ServiceFigures = ServiceFigures()


class FleetStatus(Answer):
    """The whole fleet. `degraded` says that a part could not be asked, `notes` which and why; `queue` and
    `engine_mode` are Switch's, null while it sleeps (modes come with its provider choice)."""

    version: str
    time: Timestamp
    policy: PolicyState | None
    services: list[FleetService]
    windows: list[Window]
    engine_mode: str | None
    queue: QueueStatus | None
    degraded: bool
    notes: list[str]


class DoorWindowOpen(Request):
    """Open a window from outside: `target` is short for a list of one."""

    target: str | None = None
    services: Annotated[list[str], Field(max_length=10)] = []
    ttl_seconds: TtlSeconds = 600
    mode: WindowMode = "ttl"
    reason: Reason = ""

    @model_validator(mode="after")
    def _names_something(self) -> DoorWindowOpen:
        if (self.target is None) == (not self.services):
            raise ValueError("name either `target` or `services`")
        return self

    @property
    def wanted(self) -> list[str]:
        """The services asked for."""
        return self.services or [str(self.target)]


class DoorWindowClose(Request):
    """Close a window by id, or the windows that hold `target`; with neither, the one that ends last."""

    window_id: str | None = None
    target: str | None = None


class WindowList(Answer):
    """Live windows."""

    windows: list[Window]
