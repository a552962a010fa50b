"""Every table of the one database, one module per owner; the owner alone writes its tables.

Importing this package fills `Base.metadata` with all of them. Sessions come from `config.db.Database`.
"""

from config.db_schema.base import Base, UtcDateTime, new_id
from config.db_schema.hermes import CliOnboardingState, CliProvider, LocalModelV2, ModelDownload
from config.db_schema.kernel import ApiToken, AuditLog, EventRow, ForensicLedger, IdempotencyKey, User
from config.db_schema.madre import ModuleStatus, PowerEvent, PowerWindow, SystemState
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
    "EventRow",
    "FluzoSignal",
    "ForensicLedger",
    "IaDecision",
    "IdempotencyKey",
    "LocalModelV2",
    "ModelDownload",
    "ModelUsageStat",
    "ModuleStatus",
    "PowerEvent",
    "PowerWindow",
    "ProviderStat",
    "RoutingEvent",
    "SwitchQueueV2",
    "SystemState",
    "User",
    "UtcDateTime",
    "new_id",
]
