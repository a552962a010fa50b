"""What starts and stops services, whichever way they are run: one interface for every driver.

A driver reports what is, and acts when told; it decides nothing and remembers nothing that matters, so
madre may be killed between any two calls.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Observed:
    """One service that runs. `instance` differs between two lives of it (a pid, a container id).

    `ready` is None where the service itself must be asked; `stopping` once it was told to end.
    """

    instance: str
    started_at: datetime
    stopping: bool = False
    ready: bool | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What all processes of one service take together, those it started included (a worker belongs to Switch).

    `cpu_sec` and the bytes count up while the service lives and begin anew with its next life; the bytes are those
    that went to and came from storage, None where they cannot be known. `memory_mb` is now, MiB: pages that
    processes share are counted by share where the driver can tell. `memory_limit_mb` is the limit that whatever runs
    the service enforces, None where it enforces none.
    """

    cpu_sec: float
    memory_mb: float
    read_bytes: int | None = None
    written_bytes: int | None = None
    memory_limit_mb: float | None = None


class Driver(Protocol):
    """Starts, stops and observes services. Names are those of `config.services.FLEET`.

    Any method may raise Unavailable when what runs the services does not answer; the reconciler tries again.
    """

    name: str
    simulated: bool

    async def start(self, service: str) -> None:
        """Have `service` begin to run; no error if it runs already. Returns before it is ready.

        StartFailed if it cannot even begin. While it is stopping this changes nothing: ask again once it is gone.
        """

    async def stop(self, service: str) -> None:
        """Have `service` end, gracefully first, by force after a grace; no error if it does not run."""

    async def observe(self) -> Mapping[str, Observed]:
        """Every service that runs now, whoever started it; what is not in it does not run."""

    def events(self) -> AsyncIterator[str]:
        """The names of services that have just changed; a hint to look, so one may be missed or come twice."""

    async def usage(self) -> Mapping[str, Usage]:
        """What each running service takes, core included; a service that could not be measured is left out."""

    async def last_words(self, service: str) -> str:
        """How the last life of `service` ended and its last log lines, for a person to read; empty if unknown."""
