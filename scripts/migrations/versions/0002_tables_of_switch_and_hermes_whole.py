"""Tables of switch and hermes whole"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from config.db_schema import base as db

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "cli_onboarding_state",
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("hint", sa.Text(), nullable=True),
        sa.Column("at", db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("provider", "step", name=op.f("pk_cli_onboarding_state")),
    )
    op.create_table(
        "cli_providers",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=128), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("argv", sa.JSON(), nullable=False),
        sa.Column("model_argv", sa.JSON(), nullable=False),
        sa.Column("probe", sa.JSON(), nullable=False),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.Column("task_types", sa.JSON(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("context_tokens", sa.Integer(), nullable=True),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("version", sa.String(length=128), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("authentication", sa.String(length=16), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("hint", sa.Text(), nullable=True),
        sa.Column("usage_count", sa.Integer(), nullable=False),
        sa.Column("last_used_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("checked_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cli_providers")),
    )
    op.create_table(
        "cli_usage_stats",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=True),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("prompt_bytes", sa.Integer(), nullable=False),
        sa.Column("answer_bytes", sa.Integer(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cli_usage_stats")),
    )
    with op.batch_alter_table("cli_usage_stats", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_cli_usage_stats_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_cli_usage_stats_correlation_id"), ["correlation_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_cli_usage_stats_provider"), ["provider"], unique=False)

    op.create_table(
        "fluzo_signals",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("cpu", sa.Double(), nullable=False),
        sa.Column("memory", sa.Double(), nullable=False),
        sa.Column("battery", sa.Double(), nullable=True),
        sa.Column("pressure_cpu", sa.Double(), nullable=True),
        sa.Column("pressure_memory", sa.Double(), nullable=True),
        sa.Column("load", sa.Double(), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("profile", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fluzo_signals")),
    )
    with op.batch_alter_table("fluzo_signals", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fluzo_signals_at"), ["at"], unique=False)

    op.create_table(
        "ia_decisions",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("task_type", sa.String(length=32), nullable=False),
        sa.Column("session_id", sa.String(length=128), nullable=True),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("profile", sa.String(length=16), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=True),
        sa.Column("model", sa.String(length=128), nullable=True),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("alternatives", sa.JSON(), nullable=False),
        sa.Column("fallback_from", sa.String(length=192), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ia_decisions")),
    )
    with op.batch_alter_table("ia_decisions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ia_decisions_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_ia_decisions_correlation_id"), ["correlation_id"], unique=False)

    op.create_table(
        "provider_stats",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("unknown_usage", sa.Integer(), nullable=False),
        sa.Column("cost", sa.Double(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("updated_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_stats")),
        sa.UniqueConstraint("provider", "day", name=op.f("uq_provider_stats_provider_day")),
    )
    with op.batch_alter_table("provider_stats", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_provider_stats_day"), ["day"], unique=False)

    op.create_table(
        "switch_queue_v2",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=True),
        sa.Column("task_type", sa.String(length=32), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=True),
        sa.Column("model", sa.String(length=128), nullable=True),
        sa.Column("prompt_tokens_guess", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("enqueued_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("started_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("finished_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("payload", sa.JSON(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_switch_queue_v2")),
    )
    with op.batch_alter_table("switch_queue_v2", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_switch_queue_v2_correlation_id"), ["correlation_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_switch_queue_v2_enqueued_at"), ["enqueued_at"], unique=False)
        batch_op.create_index("ix_switch_queue_v2_state", ["state"], unique=False)
        batch_op.create_index(batch_op.f("ix_switch_queue_v2_user"), ["user"], unique=False)

    with op.batch_alter_table("model_downloads", schema=None) as batch_op:
        batch_op.add_column(sa.Column("force", sa.Boolean(), server_default=sa.false(), nullable=False))

    with op.batch_alter_table("model_usage_stats", schema=None) as batch_op:
        batch_op.add_column(sa.Column("provider", sa.String(length=64), server_default="local", nullable=False))
        batch_op.add_column(sa.Column("cost", sa.Double(), nullable=True))


def downgrade() -> None:
    """Back to the one before."""
    with op.batch_alter_table("model_usage_stats", schema=None) as batch_op:
        batch_op.drop_column("cost")
        batch_op.drop_column("provider")

    with op.batch_alter_table("model_downloads", schema=None) as batch_op:
        batch_op.drop_column("force")

    with op.batch_alter_table("switch_queue_v2", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_switch_queue_v2_user"))
        batch_op.drop_index("ix_switch_queue_v2_state")
        batch_op.drop_index(batch_op.f("ix_switch_queue_v2_enqueued_at"))
        batch_op.drop_index(batch_op.f("ix_switch_queue_v2_correlation_id"))

    op.drop_table("switch_queue_v2")
    with op.batch_alter_table("provider_stats", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_provider_stats_day"))

    op.drop_table("provider_stats")
    with op.batch_alter_table("ia_decisions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ia_decisions_correlation_id"))
        batch_op.drop_index(batch_op.f("ix_ia_decisions_at"))

    op.drop_table("ia_decisions")
    with op.batch_alter_table("fluzo_signals", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_fluzo_signals_at"))

    op.drop_table("fluzo_signals")
    with op.batch_alter_table("cli_usage_stats", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_cli_usage_stats_provider"))
        batch_op.drop_index(batch_op.f("ix_cli_usage_stats_correlation_id"))
        batch_op.drop_index(batch_op.f("ix_cli_usage_stats_at"))

    op.drop_table("cli_usage_stats")
    op.drop_table("cli_providers")
    op.drop_table("cli_onboarding_state")
