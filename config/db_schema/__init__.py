"""Every table of the one database, one module per owner; the owner alone writes its tables.

Importing this package fills `Base.metadata` with all of them. Sessions come from `config.db.Database`.
"""

from config.db_schema.base import Base, UtcDateTime, new_id
from config.db_schema.hermes import CliOnboardingState, CliProvider, LocalModelV2, ModelDownload
from config.db_schema.kernel import (
    ApiToken,
    AuditLog,
    EventRow,
    ForensicLedger,
    IdempotencyKey,
    User,
)
from config.db_schema.madre import (
    ConfirmationRow,
    IntentLog,
    ModuleStatus,
    PlanRow,
    PlanStep,
    PowerEvent,
    PowerWindow,
    RailsEvent,
    RailsLane,
    SchedulerHistory,
    SystemState,
    Task,
)
from config.db_schema.operator import Context7Session
from config.db_schema.spawner import DaughterAttempt, DaughterRow, DaughterTask
from config.db_schema.switch import (
    CliUsageStat,
    FluzoSignal,
    IaDecision,
    ModelUsageStat,
    ProviderStat,
    RoutingEvent,
    SwitchQueueV2,
)

__all__ = [
    "ApiToken",
    "AuditLog",
    "Base",
    "CliOnboardingState",
    "CliProvider",
    "CliUsageStat",
    "ConfirmationRow",
    "Context7Session",
    "DaughterAttempt",
    "DaughterRow",
    "DaughterTask",
    "EventRow",
    "FluzoSignal",
    "ForensicLedger",
    "IaDecision",
    "IdempotencyKey",
    "IntentLog",
    "LocalModelV2",
    "ModelDownload",
    "ModelUsageStat",
    "ModuleStatus",
    "PlanRow",
    "PlanStep",
    "PowerEvent",
    "PowerWindow",
    "ProviderStat",
    "RailsEvent",
    "RailsLane",
    "RoutingEvent",
    "SchedulerHistory",
    "SwitchQueueV2",
    "SystemState",
    "Task",
    "User",
    "UtcDateTime",
    "new_id",
]
