"""Actions on the fleet as a whole, on plans, on autonomy.

Resources: `machine`, `database`, `audit`, `plans`, `autonomy`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.auth import Scope
from madre.actions.action import Action, Arguments, Domain, Heard, Nothing, Risk, ServiceName, StepType


class Health(Arguments):
    """One service, or the whole fleet."""

    service: Annotated[ServiceName | None, Heard.SERVICE] = None


class Maintenance(Arguments):
    """Checks alone, or with `apply` also retention, which deletes old rows, and a backup."""

    apply: Annotated[bool, Heard.FLAG] = False


class OnePlan(Arguments):
    """Which plan."""

    plan_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$"), Heard.ID]


class StartAutonomy(Arguments):
    """`shadow` only says what it would have done; `active` does it."""

    mode: Annotated[Literal["shadow", "active"], Heard.CHOICE] = "shadow"


ROWS = (
    Action(
        "system.health",
        Domain.SCAN,
        "Ask services how they are",
        Health,
        Scope.STATUS_READ,
        Risk.LOW,
        StepType.SYSTEM_HEALTHCHECK,
        owner="madre",
        reads=("services",),
        finds=("problems",),
        says=(
            "check health",
            "check health service",
            "show health",
            "health {service}",
            "health",
            "check service",
            "check {service}",
            "check system",
            "test {service}",
            "status {service}",
            "show {service}",
        ),
    ),
    Action(
        "system.status",
        Domain.POWER,
        "Show how the fleet and the machine are",
        Nothing,
        Scope.STATUS_READ,
        Risk.LOW,
        StepType.SYSTEM_HEALTHCHECK,
        owner="madre",
        reads=("machine", "power"),
        says=("show status", "status", "status system", "show system", "show memory", "show cpu", "show resources"),
    ),
    Action(
        "system.maintenance",
        Domain.POWER,
        "Check the database; with `apply`, drop what is past its retention and back up",
        Maintenance,
        Scope.MAINTENANCE,
        Risk.MED,
        StepType.NOOP,
        owner="madre",
        reads=("database",),
        writes=("database",),
        reversible=False,
        says=("run maintenance", "maintenance", "backup", "backup database", "clean database", "apply maintenance"),
    ),
    Action(
        "db.sanity",
        Domain.SCAN,
        "Check that the database is whole",
        Nothing,
        Scope.STATUS_READ,
        Risk.LOW,
        StepType.SYSTEM_HEALTHCHECK,
        owner="madre",
        reads=("database",),
        lane="db/sanity",
        finds=("problems",),
        says=("check database", "verify database", "scan database", "status database", "test database"),
    ),
    Action(
        "audit.verify",
        Domain.SCAN,
        "Verify the audit chain",
        Nothing,
        Scope.MAINTENANCE,
        Risk.MED,
        StepType.SYSTEM_HEALTHCHECK,
        owner="madre",
        reads=("audit",),
        lane="security/audit",
        finds=("problems",),
        says=("verify audit", "check audit", "scan audit", "check security"),
    ),
    Action(
        "plans.list",
        Domain.TASK,
        "List plans",
        Nothing,
        Scope.PLANS_READ,
        Risk.LOW,
        StepType.NOOP,
        owner="madre",
        reads=("plans",),
        says=("show plan", "status plan"),
    ),
    Action(
        "plans.cancel",
        Domain.TASK,
        "Cancel a plan",
        OnePlan,
        Scope.PLANS_WRITE,
        Risk.MED,
        StepType.NOOP,
        owner="madre",
        reads=("plans",),
        writes=("plans",),
        reversible=False,
        says=("cancel plan", "stop plan", "kill plan", "delete plan"),
    ),
    Action(
        "autonomy.start",
        Domain.TASK,
        "Have madre look after the fleet by herself",
        StartAutonomy,
        Scope.AUTONOMY,
        Risk.HIGH,
        StepType.NOOP,
        owner="madre",
        reads=("autonomy",),
        writes=("autonomy",),
        undo="autonomy.stop",
        says=("start autonomy", "enable autonomy", "open autonomy"),
    ),
    Action(
        "autonomy.stop",
        Domain.TASK,
        "Have madre act only when asked",
        Nothing,
        Scope.AUTONOMY,
        Risk.LOW,
        StepType.NOOP,
        owner="madre",
        reads=("autonomy",),
        writes=("autonomy",),
        undo="autonomy.start",
        says=("stop autonomy", "disable autonomy", "close autonomy", "cancel autonomy"),
    ),
)
