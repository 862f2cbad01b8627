"""The event log, what the database itself refuses to do to it, and the projections."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TERMINAL = "type IN ('JobCompleted', 'JobFailed', 'JobCancelled')"
ENDED = "status IN ('completed', 'failed', 'cancelled')"

#: Pruning keeps all of an event but its data, and only what a job has said of its progress can be pruned.
UNCHANGED = ("position", "job_id", "version", "type", "schema", "actor", "recorded_at", "leaf_hash")
PRUNED = (
    "NEW.data = '' AND OLD.type IN ('StageStarted', 'StageFinished', 'BatchProgressed', 'EpochFinished')"
    f" AND EXISTS (SELECT 1 FROM events WHERE job_id = OLD.job_id AND {TERMINAL})"
    + "".join(f" AND NEW.{column} IS OLD.{column}" for column in UNCHANGED)
)

SQLITE_RULES = [
    ("events_are_never_changed", "BEFORE UPDATE ON events", f"NOT ({PRUNED})", "an event is never changed"),
    ("events_are_never_deleted", "BEFORE DELETE ON events", "1", "an event is never deleted"),
    (
        "events_positions_have_no_gap",
        "BEFORE INSERT ON events",
        "NEW.position <> (SELECT coalesce(max(position), 0) + 1 FROM events)",
        "the position is not the next one",
    ),
    (
        "events_versions_have_no_gap",
        "BEFORE INSERT ON events",
        "NEW.version <> (SELECT coalesce(max(version), 0) + 1 FROM events WHERE job_id = NEW.job_id)",
        "the version is not the next one of the job",
    ),
    (
        "events_end_with_the_job",
        "BEFORE INSERT ON events",
        f"EXISTS (SELECT 1 FROM events WHERE job_id = NEW.job_id AND {TERMINAL})",
        "the job has ended",
    ),
]


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("position", sa.Integer, autoincrement=False),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("schema", sa.Integer, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.Text, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("position", name="events_pk"),
        sa.UniqueConstraint("job_id", "version", name="events_job_id_version_unique"),
        sa.CheckConstraint("version > 0", name="version_positive"),
    )
    op.create_index("events_one_end_per_job", "events", ["job_id"], unique=True, sqlite_where=sa.text(TERMINAL))
    op.create_index(
        "events_cancellations", "events", ["job_id"], sqlite_where=sa.text("type = 'CancellationRequested'")
    )
    for name, when, condition, message in SQLITE_RULES:
        op.execute(f"CREATE TRIGGER {name} {when} WHEN {condition} BEGIN SELECT RAISE(ABORT, '{message}'); END")

    op.create_table(
        "tree",
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("recorded_at", sa.Text, nullable=False),
        sa.Column("edge", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("origin", name="tree_pk"),
    )
    op.execute("INSERT INTO tree VALUES ('ktrdr.local/' || lower(hex(randomblob(16))), 0, '', x'')")
    op.create_table(
        "tree_nodes",
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("index", sa.Integer, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("level", "index", name="tree_nodes_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "log_checkpoints",
        sa.Column("size", sa.Integer, autoincrement=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("signed_at", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("size", name="log_checkpoints_pk"),
    )
    op.create_table(
        "jobs",
        sa.Column("submitted_position", sa.Integer, autoincrement=False),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("waits_for", sa.Text),
        sa.Column("share", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("request_digest", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("submitted_position", name="jobs_pk"),
        sa.UniqueConstraint("job_id", name="jobs_job_id_unique"),
    )
    op.create_index(
        "jobs_queue",
        "jobs",
        ["waits_for", "share", sa.text("priority DESC"), "submitted_position"],
        sqlite_where=sa.text("waits_for IS NOT NULL"),
    )
    op.create_index("jobs_by_status", "jobs", ["status", "submitted_position"])
    op.create_index("jobs_ended", "jobs", ["position", "submitted_position"], sqlite_where=sa.text(ENDED))
    op.create_index(
        "jobs_by_idempotency_key",
        "jobs",
        ["idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "snapshots",
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "position", name="snapshots_pk"),
    )
    op.create_table(
        "job_terms",
        sa.Column("term", sa.Text, nullable=False),
        sa.Column("submitted_position", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("term", "submitted_position", name="job_terms_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "leases",
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("lease_epoch", sa.Integer, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("renewals", sa.Integer, nullable=False),
        sa.Column("claim_id", sa.Text),
        sa.PrimaryKeyConstraint("job_id", name="leases_pk"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name="leases_job_id_fk"),
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("slots", sa.Integer, nullable=False),
        sa.Column("has_gpu", sa.Integer, nullable=False),
        sa.Column("capabilities", sa.Text, nullable=False),
        sa.Column("started_at", sa.Text, nullable=False),
        sa.Column("last_seen", sa.Text, nullable=False),
        sa.Column("beats", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name="workers_pk"),
    )
    op.create_table(
        "subjects",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="subjects_pk"),
    )
    op.create_table(
        "datasets",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("timeframe", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("first", sa.Text, nullable=False),
        sa.Column("last", sa.Text, nullable=False),
        sa.Column("imported_at", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("kind", "symbol", "timeframe", name="datasets_pk"),
    )
    op.create_table(
        "strategies",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("stored_at", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="strategies_pk"),
    )


def downgrade() -> None:
    raise RuntimeError("the first migration cannot be undone: that would delete the log")
