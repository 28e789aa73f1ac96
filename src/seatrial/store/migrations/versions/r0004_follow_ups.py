"""What is followed after a rollout, what was found of it, and incidents that people decide on.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "follow_ups",
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("next_at", _TIME),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("rollout", name="pk_follow_ups"),
        sa.ForeignKeyConstraint(["rollout"], ["rollouts.id"], name="fk_follow_ups_rollout"),
    )
    op.create_table(
        "reconciliations",
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("taken_at", _TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("rollout", "at", "revision", name="pk_reconciliations"),
        sa.ForeignKeyConstraint(["rollout"], ["rollouts.id"], name="fk_reconciliations_rollout"),
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("choice", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("closed_at", _TIME),
        sa.Column("closed_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
        sa.UniqueConstraint("key", name="uq_incidents_key"),
        sa.ForeignKeyConstraint(["rollout"], ["rollouts.id"], name="fk_incidents_rollout"),
    )
