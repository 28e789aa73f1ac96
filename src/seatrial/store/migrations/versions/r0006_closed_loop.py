"""Training runs and their triggers; approvals and change records; what MLflow was told.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("versions", sa.Column("signature", sa.Text))
    op.create_index("ix_rollouts_model", "rollouts", ["model"])
    _changes()
    op.create_table(
        "approval_requests",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("rollout", sa.Text),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_at", _TIME, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_approval_requests"),
        sa.ForeignKeyConstraint(["rollout"], ["rollouts.id"], name="fk_approval_requests_rollout"),
        sa.ForeignKeyConstraint(
            ["model", "version"], ["versions.model", "versions.number"], name="fk_approval_requests_model_version"
        ),
    )
    op.create_index("ix_approval_requests_model", "approval_requests", ["model"])
    op.create_index("ix_approval_requests_rollout", "approval_requests", ["rollout"])
    op.create_table(
        "approval_acts",
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("rollout", sa.Text),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_approval_acts"),
        sa.ForeignKeyConstraint(["request"], ["approval_requests.id"], name="fk_approval_acts_request"),
        sa.ForeignKeyConstraint(["rollout"], ["rollouts.id"], name="fk_approval_acts_rollout"),
    )
    op.create_index("ix_approval_acts_request", "approval_acts", ["request"])
    op.create_index("ix_approval_acts_rollout", "approval_acts", ["rollout"])
    op.create_table(
        "retraining",
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("set_at", _TIME, nullable=False),
        sa.Column("set_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("model", name="pk_retraining"),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_retraining_model"),
    )
    op.create_table(
        "training_events",
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_training_events"),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_training_events_model"),
    )
    op.create_index("ix_training_events_model", "training_events", ["model"])
    op.create_table(
        "training_runs",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_training_runs"),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_training_runs_model"),
    )
    op.create_index("uq_training_runs_model_number", "training_runs", ["model", "number"], unique=True)


def _changes() -> None:
    op.create_table(
        "change_baselines",
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("rollout", sa.Text),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_change_baselines"),
        sa.ForeignKeyConstraint(["rollout"], ["rollouts.id"], name="fk_change_baselines_rollout"),
        sa.ForeignKeyConstraint(
            ["model", "version"], ["versions.model", "versions.number"], name="fk_change_baselines_model_version"
        ),
    )
    op.create_index("ix_change_baselines_model", "change_baselines", ["model"])
    op.create_table(
        "change_envelopes",
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_change_envelopes"),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_change_envelopes_model"),
    )
    op.create_index("ix_change_envelopes_model", "change_envelopes", ["model"])
    op.create_table(
        "test_sets",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("row_count", sa.Integer, nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
        sa.Column("hashes", sa.Text, nullable=False),
        sa.Column("use_limit", sa.Integer, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("retired_at", _TIME),
        sa.Column("retired_by", sa.Text, nullable=False),
        sa.Column("retirement", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_test_sets"),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_test_sets_model"),
    )
    op.create_index("ix_test_sets_model", "test_sets", ["model"])
    op.create_table(
        "test_set_uses",
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("test_set", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_test_set_uses"),
        sa.ForeignKeyConstraint(["test_set"], ["test_sets.id"], name="fk_test_set_uses_test_set"),
    )
    op.create_index("ix_test_set_uses_test_set", "test_set_uses", ["test_set"])
    op.create_table(
        "tickets",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("opened_by", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("closed_at", _TIME),
        sa.Column("closed_by", sa.Text, nullable=False),
        sa.Column("resolution", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tickets"),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_tickets_model"),
    )
    op.create_index("ix_tickets_model", "tickets", ["model"])
    op.create_index("ix_tickets_key", "tickets", ["key"])
    _mlflow()


def _mlflow() -> None:
    op.create_table(
        "mlflow_links",
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("registered", sa.Text, nullable=False),
        sa.Column("view", sa.Text, nullable=False),
        sa.Column("linked_at", _TIME, nullable=False),
        sa.Column("linked_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("model", name="pk_mlflow_links"),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_mlflow_links_model"),
        sa.UniqueConstraint("registered", name="uq_mlflow_links_registered"),
    )
    op.create_table(
        "mlflow_versions",
        sa.Column("registered", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("registered", "number", name="pk_mlflow_versions"),
        sa.ForeignKeyConstraint(
            ["model", "version"], ["versions.model", "versions.number"], name="fk_mlflow_versions_model_version"
        ),
    )
    op.create_index("ix_mlflow_versions_model_version", "mlflow_versions", ["model", "version"])
    op.create_table(
        "mlflow_requests",
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("via", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("expected", sa.Integer),
        sa.Column("rollout", sa.Text),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("answered_at", _TIME),
        sa.PrimaryKeyConstraint("seq", name="pk_mlflow_requests"),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_mlflow_requests_model"),
        sa.ForeignKeyConstraint(["rollout"], ["rollouts.id"], name="fk_mlflow_requests_rollout"),
    )
    op.create_index("ix_mlflow_requests_model", "mlflow_requests", ["model"])
    op.create_table(
        "mlflow_deliveries",
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("decision", sa.Integer, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", _TIME, nullable=False),
        sa.Column("last_error", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("rollout", "decision", name="pk_mlflow_deliveries"),
        sa.ForeignKeyConstraint(["rollout"], ["rollouts.id"], name="fk_mlflow_deliveries_rollout"),
    )
    op.create_index("ix_mlflow_deliveries_state", "mlflow_deliveries", ["state"])
