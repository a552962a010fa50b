"""Power on the wire: windows, policies, services (CONTRACT, section 4)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from config.contracts.base import Answer, Request, Timestamp

Policy = Literal["solo_madre", "full"]
PolicyState = Literal["solo_madre", "full", "windowed"]
WindowMode = Literal["ttl", "hold"]
WindowState = Literal["opening", "open", "closing", "closed", "expired", "error"]
ServiceState = Literal["absent", "asleep", "starting", "ready", "unready", "stopping", "failed"]
TtlSeconds = Annotated[float, Field(ge=1, le=3600)]
Reason = Annotated[str, Field(max_length=256)]


class WindowOpen(Request):
    """Ask for a lease on services; the same set by the same caller extends the window there is."""

    services: Annotated[list[str], Field(min_length=1, max_length=10)]
    ttl_sec: TtlSeconds = 600
    mode: WindowMode = "ttl"
    reason: Reason = ""
    wait: bool = True
    skip_health: bool = False

    @field_validator("services")
    @classmethod
    def _each_once(cls, services: list[str]) -> list[str]:
        return sorted(set(services))


class WindowClose(Request):
    """Close one window, or, without an id, the one that ends last."""

    window_id: str | None = None


class WindowHold(Request):
    """Switch a window between `hold` (no deadline) and `ttl`."""

    window_id: str
    hold: bool


class WindowExtend(Request):
    """Move a window's deadline to `ttl_sec` from now."""

    window_id: str
    ttl_sec: TtlSeconds


class DriverRun(Answer):
    """What the driver did for a request: return code 0 is success; `output` is its last words."""

    driver: str
    rc: int
    elapsed_ms: float
    output: str


class Window(Answer):
    """A lease on a set of services."""

    window_id: str
    services: list[str]
    mode: WindowMode
    state: WindowState
    opened_by: str
    reason: str
    created_at: Timestamp
    deadline: Timestamp | None
    ttl_remaining_sec: float | None
    closed_at: Timestamp | None
    close_reason: str | None
    exec: DriverRun | None = None


class ServiceUsage(Answer):
    """What the processes of one service take. CPU seconds and bytes (of storage) count from its start, `cpu_percent`
    is the last minute's mean, of one core; null is what nobody could measure. `memory_limit_mb` is what it may take.
    """

    cpu_sec: float
    cpu_percent: float | None
    memory_mb: float
    memory_limit_mb: float
    read_bytes: int | None
    written_bytes: int | None


class ServiceTraffic(Answer):
    """The requests that one service ended in the last `over_sec` seconds (a minute, less after its start).

    `errors` are those it answered with 5xx. The times, milliseconds, run until an answer begins; as estimated from
    buckets, null where there was no request.
    """

    over_sec: float
    requests: int
    errors: int
    p50_ms: float | None
    p99_ms: float | None


class ServiceFigures(Answer):
    """What is measured of one service; a null part is not known, because it sleeps or does not say."""

    usage: ServiceUsage | None = None
    traffic: ServiceTraffic | None = None


class ServicePower(Answer):
    """One service as the reconciler last saw it; `memory_mb` is null where nothing was measured."""

    name: str
    state: ServiceState
    since: Timestamp | None
    restarts: int
    memory_mb: float | None
    figures: ServiceFigures = ServiceFigures()


class PowerState(Answer):
    """`GET /madre/power/state`; the singular fields speak of the window that ends last."""

    policy: PolicyState
    windows: list[Window]
    window_id: str | None
    deadline: Timestamp | None
    ttl_remaining_sec: float | None
    active_services: list[str]
    services: list[ServicePower]


class PolicyStatus(Answer):
    """Whether a policy is in force; `applied` tells what an apply changed."""

    policy: Policy
    active: bool
    applied: bool = False


class ServiceLimits(Answer):
    """A service that power may act on, with its limits."""

    name: str
    port: int
    memory_mb: int
    sleeps: bool
    present: bool


class ServiceControl(Request):
    """Start, stop or restart one service: a plan unless `apply`."""

    apply: bool = False
    reason: Reason = ""


class ServiceControlResult(Answer):
    """What would be done, or was done."""

    service: str
    act: Literal["start", "stop", "restart"]
    applied: bool
    plan: list[str]
    exec: DriverRun | None = None


class Maintenance(Request):
    """Checks, retention and a backup; only looked at unless `apply`."""

    apply: bool = False


class MaintenanceReport(Answer):
    """What maintenance found and did."""

    applied: bool
    integrity: str
    findings: dict[str, Any]


class Wake(Request):
    """The gateway's question: is this service up, or coming up, for a request that waits?"""

    service: str
    wait_sec: Annotated[float, Field(ge=0, le=120)] = 30


class WakeAnswer(Answer):
    """`ready` for at least `lease_sec` more; the gateway asks again before that while requests come."""

    service: str
    state: ServiceState
    lease_sec: float
