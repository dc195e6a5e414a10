"""Sources in groups, the jobs that read them, and the hosts and networks that runs go to."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def _text(name: str, length: int) -> sa.Column:
    return sa.Column(name, sqlmodel.sql.sqltypes.AutoString(length=length), nullable=True)


def upgrade() -> None:
    op.add_column("sources", _text("group", 100))
    op.create_index("ix_sources_group", "sources", ["group"])
    for column in (_text("host", 253), _text("network", 64), _text("job_id", 36)):
        op.add_column("source_runs", column)
    op.create_index("ix_source_runs_job_id", "source_runs", ["job_id"])


def downgrade() -> None:
    op.drop_index("ix_source_runs_job_id", "source_runs")
    for name in ("host", "network", "job_id"):
        op.drop_column("source_runs", name)
    op.drop_index("ix_sources_group", "sources")
    op.drop_column("sources", "group")
