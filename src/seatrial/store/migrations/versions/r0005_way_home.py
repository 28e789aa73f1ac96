"""How careful a model wants to be treated; ways home with their times; how fast standbys serve.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("models", sa.Column("safety", sa.Text, nullable=False, server_default="{}"))
    op.create_table(
        "ci_runs",
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_ci_runs"),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_ci_runs_model"),
    )
    op.create_index("ix_ci_runs_model", "ci_runs", ["model"])
    op.create_table(
        "homecomings",
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("rollout", sa.Text),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_homecomings"),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_homecomings_model"),
        sa.ForeignKeyConstraint(["rollout"], ["rollouts.id"], name="fk_homecomings_rollout"),
    )
    op.create_index("ix_homecomings_model", "homecomings", ["model"])
    op.create_table(
        "standby_times",
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("occasion", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_standby_times"),
        sa.ForeignKeyConstraint(
            ["model", "version"], ["versions.model", "versions.number"], name="fk_standby_times_model_version"
        ),
    )
    op.create_index("ix_standby_times_model_policy", "standby_times", ["model", "policy"])
    op.create_table(
        "recalls",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("until", _TIME, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("found", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("opened_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recalls"),
        sa.ForeignKeyConstraint(
            ["model", "version"], ["versions.model", "versions.number"], name="fk_recalls_model_version"
        ),
    )
    op.create_table(
        "recall_marks",
        sa.Column("recall", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("row", sa.Integer, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("recall", "kind", "request_id", "row", name="pk_recall_marks"),
        sa.ForeignKeyConstraint(["recall"], ["recalls.id"], name="fk_recall_marks_recall"),
    )
    op.create_table(
        "drills",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_drills"),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_drills_model"),
    )
    op.create_index("ix_drills_model", "drills", ["model"])
