"""Tables of plans and of spawner"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from config.db_schema import base as db

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "context_7_sessions",
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("used_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("topics", sa.JSON(), nullable=False),
        sa.Column("turns", sa.JSON(), nullable=False),
        sa.Column("dropped", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user", "session_id", name=op.f("pk_context_7_sessions")),
    )
    with op.batch_alter_table("context_7_sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_context_7_sessions_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "daughter_tasks",
        sa.Column("spawn_id", sa.String(length=16), nullable=False),
        sa.Column("spawn_uuid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("owner_role", sa.String(length=16), nullable=False),
        sa.Column("task_type", sa.String(length=16), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("intent", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("parent_task_id", sa.String(length=16), nullable=True),
        sa.Column("root_task_id", sa.String(length=16), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=True),
        sa.Column("ttl_seconds", sa.Integer(), nullable=False),
        sa.Column("max_retries", sa.Integer(), nullable=False),
        sa.Column("auto_retry", sa.Boolean(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("limits", sa.JSON(), nullable=False),
        sa.Column("alternatives", sa.JSON(), nullable=False),
        sa.Column("alternative", sa.Integer(), nullable=False),
        sa.Column("scale", sa.Double(), nullable=False),
        sa.Column("avoid", sa.JSON(), nullable=False),
        sa.Column("tool_allowlist", sa.JSON(), nullable=False),
        sa.Column("meta_info", sa.JSON(), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=True),
        sa.Column("network", sa.Boolean(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("isolation", sa.String(length=64), nullable=True),
        sa.Column("progress", sa.Double(), nullable=True),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("not_before", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("started_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("finished_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("wish", sa.String(length=16), nullable=True),
        sa.Column("wish_because", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("spawn_id", name=op.f("pk_daughter_tasks")),
        sa.UniqueConstraint("spawn_uuid", name=op.f("uq_daughter_tasks_spawn_uuid")),
    )
    with op.batch_alter_table("daughter_tasks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_daughter_tasks_finished_at"), ["finished_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_daughter_tasks_parent_task_id"), ["parent_task_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_daughter_tasks_root_task_id"), ["root_task_id"], unique=False)
        batch_op.create_index("ix_daughter_tasks_status", ["status", "created_at"], unique=False)
        batch_op.create_index("ix_daughter_tasks_user", ["user", "created_at"], unique=False)

    op.create_table(
        "intents_log",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=True),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("domain", sa.String(length=32), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=True),
        sa.Column("target", sa.String(length=256), nullable=True),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("risk", sa.String(length=4), nullable=True),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("plan_id", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intents_log")),
    )
    with op.batch_alter_table("intents_log", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_intents_log_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_intents_log_correlation_id"), ["correlation_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_intents_log_user"), ["user"], unique=False)

    op.create_table(
        "plans",
        sa.Column("plan_id", sa.String(length=32), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=True),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("risk", sa.String(length=4), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("plan_hash", sa.String(length=64), nullable=False),
        sa.Column("observed", sa.JSON(), nullable=False),
        sa.Column("windows", sa.JSON(), nullable=False),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("cancel_asked_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("confirmed_by", sa.String(length=128), nullable=True),
        sa.Column("confirmed_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("started_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("finished_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("plan_id", name=op.f("pk_plans")),
    )
    with op.batch_alter_table("plans", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_plans_correlation_id"), ["correlation_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_plans_finished_at"), ["finished_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_plans_session_id"), ["session_id"], unique=False)
        batch_op.create_index("ix_plans_status_created_at", ["status", "created_at"], unique=False)
        batch_op.create_index("ix_plans_user_created_at", ["user", "created_at"], unique=False)

    op.create_table(
        "rails_events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column("plan_id", sa.String(length=32), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("lane", sa.String(length=97), nullable=True),
        sa.Column("verdict", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rails_events")),
    )
    with op.batch_alter_table("rails_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rails_events_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_rails_events_correlation_id"), ["correlation_id"], unique=False)

    op.create_table(
        "rails_lanes",
        sa.Column("domain", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("updated_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("domain", "kind", name=op.f("pk_rails_lanes")),
    )
    op.create_table(
        "scheduler_history",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("started_by", sa.String(length=128), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("observed", sa.JSON(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("decisions", sa.JSON(), nullable=False),
        sa.Column("delegated", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("elapsed_ms", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scheduler_history")),
    )
    with op.batch_alter_table("scheduler_history", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_scheduler_history_at"), ["at"], unique=False)

    op.create_table(
        "tasks",
        sa.Column("task_id", sa.String(length=32), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("priority", sa.String(length=2), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("provider", sa.String(length=128), nullable=True),
        sa.Column("degraded", sa.Boolean(), nullable=False),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("plan_id", sa.String(length=32), nullable=True),
        sa.Column("spawn_id", sa.String(length=32), nullable=True),
        sa.Column("created_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_tasks")),
    )
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tasks_correlation_id"), ["correlation_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_tasks_created_at"), ["created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_tasks_plan_id"), ["plan_id"], unique=False)
        batch_op.create_index("ix_tasks_user_created_at", ["user", "created_at"], unique=False)

    op.create_table(
        "confirmations",
        sa.Column("confirmation_id", sa.String(length=48), nullable=False),
        sa.Column("plan_id", sa.String(length=32), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("plan_hash", sa.String(length=64), nullable=False),
        sa.Column("risk", sa.String(length=4), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("created_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("used_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["plans.plan_id"], name=op.f("fk_confirmations_plan_id_plans"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("confirmation_id", name=op.f("pk_confirmations")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_confirmations_token_sha256")),
    )
    with op.batch_alter_table("confirmations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_confirmations_plan_id"), ["plan_id"], unique=False)

    op.create_table(
        "daughter_attempts",
        sa.Column("attempt_id", sa.String(length=32), nullable=False),
        sa.Column("spawn_id", sa.String(length=16), nullable=False),
        sa.Column("daughter_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("mutation", sa.JSON(), nullable=True),
        sa.Column("isolation", sa.String(length=64), nullable=False),
        sa.Column("limits", sa.JSON(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("pid_started", sa.String(length=32), nullable=True),
        sa.Column("started_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("heartbeat_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("signal", sa.Integer(), nullable=True),
        sa.Column("cpu_sec", sa.Double(), nullable=True),
        sa.Column("wall_sec", sa.Double(), nullable=True),
        sa.Column("max_rss_mb", sa.Double(), nullable=True),
        sa.Column("output_bytes", sa.Integer(), nullable=False),
        sa.Column("output_truncated", sa.Boolean(), nullable=False),
        sa.Column("changed_files", sa.JSON(), nullable=True),
        sa.Column("changed_more", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["spawn_id"],
            ["daughter_tasks.spawn_id"],
            name=op.f("fk_daughter_attempts_spawn_id_daughter_tasks"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_daughter_attempts")),
    )
    with op.batch_alter_table("daughter_attempts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_daughter_attempts_daughter_id"), ["daughter_id"], unique=False)
        batch_op.create_index("ix_daughter_attempts_spawn_id", ["spawn_id", "number"], unique=False)
        batch_op.create_index(batch_op.f("ix_daughter_attempts_status"), ["status"], unique=False)

    op.create_table(
        "daughters",
        sa.Column("daughter_id", sa.String(length=32), nullable=False),
        sa.Column("spawn_id", sa.String(length=16), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("predecessor_id", sa.String(length=32), nullable=True),
        sa.Column("attempt_id", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("mutation", sa.JSON(), nullable=True),
        sa.Column("created_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["spawn_id"],
            ["daughter_tasks.spawn_id"],
            name=op.f("fk_daughters_spawn_id_daughter_tasks"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("daughter_id", name=op.f("pk_daughters")),
    )
    with op.batch_alter_table("daughters", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_daughters_spawn_id"), ["spawn_id"], unique=False)

    op.create_table(
        "plan_steps",
        sa.Column("plan_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("step_type", sa.String(length=32), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("condition", sa.String(length=64), nullable=True),
        sa.Column("not_before", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("risk", sa.String(length=4), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("started_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("finished_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("undone_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["plans.plan_id"], name=op.f("fk_plan_steps_plan_id_plans"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("plan_id", "number", name=op.f("pk_plan_steps")),
    )


def downgrade() -> None:
    """Back to the one before."""
    op.drop_table("plan_steps")
    with op.batch_alter_table("daughters", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_daughters_spawn_id"))

    op.drop_table("daughters")
    with op.batch_alter_table("daughter_attempts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_daughter_attempts_status"))
        batch_op.drop_index("ix_daughter_attempts_spawn_id")
        batch_op.drop_index(batch_op.f("ix_daughter_attempts_daughter_id"))

    op.drop_table("daughter_attempts")
    with op.batch_alter_table("confirmations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_confirmations_plan_id"))

    op.drop_table("confirmations")
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.drop_index("ix_tasks_user_created_at")
        batch_op.drop_index(batch_op.f("ix_tasks_plan_id"))
        batch_op.drop_index(batch_op.f("ix_tasks_created_at"))
        batch_op.drop_index(batch_op.f("ix_tasks_correlation_id"))

    op.drop_table("tasks")
    with op.batch_alter_table("scheduler_history", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_scheduler_history_at"))

    op.drop_table("scheduler_history")
    op.drop_table("rails_lanes")
    with op.batch_alter_table("rails_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_rails_events_correlation_id"))
        batch_op.drop_index(batch_op.f("ix_rails_events_at"))

    op.drop_table("rails_events")
    with op.batch_alter_table("plans", schema=None) as batch_op:
        batch_op.drop_index("ix_plans_user_created_at")
        batch_op.drop_index("ix_plans_status_created_at")
        batch_op.drop_index(batch_op.f("ix_plans_session_id"))
        batch_op.drop_index(batch_op.f("ix_plans_finished_at"))
        batch_op.drop_index(batch_op.f("ix_plans_correlation_id"))

    op.drop_table("plans")
    with op.batch_alter_table("intents_log", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_intents_log_user"))
        batch_op.drop_index(batch_op.f("ix_intents_log_correlation_id"))
        batch_op.drop_index(batch_op.f("ix_intents_log_at"))

    op.drop_table("intents_log")
    with op.batch_alter_table("daughter_tasks", schema=None) as batch_op:
        batch_op.drop_index("ix_daughter_tasks_user")
        batch_op.drop_index("ix_daughter_tasks_status")
        batch_op.drop_index(batch_op.f("ix_daughter_tasks_root_task_id"))
        batch_op.drop_index(batch_op.f("ix_daughter_tasks_parent_task_id"))
        batch_op.drop_index(batch_op.f("ix_daughter_tasks_finished_at"))

    op.drop_table("daughter_tasks")
    with op.batch_alter_table("context_7_sessions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_context_7_sessions_expires_at"))

    op.drop_table("context_7_sessions")
