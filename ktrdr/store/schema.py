"""The tables: the log itself, and the projections of it that can be thrown away and rebuilt.

Imports sqlalchemy only. What the database must refuse whatever code runs (a change of a recorded event, a gap, an
event after the end of a job) is a trigger or a unique index, made in `migrations/`.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "uq": "%(table_name)s_%(column_0_N_name)s_unique",
        "fk": "%(table_name)s_%(column_0_N_name)s_fk",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

#: The truth. Rows are only ever added; of progress events of ended jobs the data may be emptied, once it is archived.
events = Table(
    "events",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    #: Of a service event: the id of its subject.
    Column("job_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("schema", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("recorded_at", Text, nullable=False),
    #: RFC 6962 leaf hash of the canonical envelope, 32 bytes.
    Column("leaf_hash", LargeBinary, nullable=False),
    #: Canonical JSON (RFC 8785), or empty where it was pruned. The last column: to read what stands behind it SQLite
    #: goes through all of its pages.
    Column("data", Text, nullable=False),
    UniqueConstraint("job_id", "version"),
    CheckConstraint("version > 0", name="version_positive"),
    Index(
        "events_one_end_per_job",
        "job_id",
        unique=True,
        sqlite_where=text("type IN ('JobCompleted', 'JobFailed', 'JobCancelled')"),
        postgresql_where=text("type IN ('JobCompleted', 'JobFailed', 'JobCancelled')"),
    ),
    #: A worker looks here between two batches, so the look must touch one page.
    Index(
        "events_cancellations",
        "job_id",
        sqlite_where=text("type = 'CancellationRequested'"),
        postgresql_where=text("type = 'CancellationRequested'"),
    ),
)

#: The Merkle tree over the leaf hashes (`ktrdr.jobs.merkle`), as of the newest event. One row.
tree = Table(
    "tree",
    metadata,
    #: The log's name in checkpoints, made with the database.
    Column("origin", Text, primary_key=True),
    #: Leaves: the position of the newest event.
    Column("size", Integer, nullable=False),
    #: When the newest event was recorded; empty in an empty log.
    Column("recorded_at", Text, nullable=False),
    #: The right edge (`Edge`): the root and the next append need nothing else.
    Column("edge", LargeBinary, nullable=False),
)

#: Hashes of complete subtrees of 256, 65,536, … leaves, from which any proof is made with few reads.
tree_nodes = Table(
    "tree_nodes",
    metadata,
    Column("level", Integer, nullable=False),
    Column("index", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("level", "index"),
    sqlite_with_rowid=False,
)

#: The signed checkpoints of the log (C2SP tlog-checkpoint), by the size of the tree that they sign.
log_checkpoints = Table(
    "log_checkpoints",
    metadata,
    Column("size", Integer, primary_key=True, autoincrement=False),
    #: The signed note, cosignatures of witnesses included.
    Column("note", Text, nullable=False),
    Column("signed_at", Text, nullable=False),
)

#: One row per job: its folded state, and the columns that lists filter and sort by.
jobs = Table(
    "jobs",
    metadata,
    #: Position of JobSubmitted: the order of lists and of the queue. (As the key it needs no index of its own, and each
    #: index less is a page less to write with every submission.)
    Column("submitted_position", Integer, primary_key=True, autoincrement=False),
    Column("job_id", Text, nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    #: Of the newest event: up to here the row is the job's state at every later position too.
    Column("position", Integer, nullable=False),
    Column("status", Text, nullable=False),
    #: What a queued job waits for (`ktrdr.jobs.queue.waiting_class`); NULL once it does not wait. (With a condition on
    #: `status` instead, SQLite prefers the index by status and sorts the whole queue for each claim.)
    Column("waits_for", Text),
    Column("share", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("idempotency_key", Text),
    Column("request_digest", Text, nullable=False),
    #: `JobState` as JSON.
    Column("state", Text, nullable=False),
    Index(
        "jobs_queue",
        "waits_for",
        "share",
        text("priority DESC"),
        "submitted_position",
        sqlite_where=text("waits_for IS NOT NULL"),
        postgresql_where=text("waits_for IS NOT NULL"),
    ),
    Index("jobs_by_status", "status", "submitted_position"),
    #: Which jobs have ended since a position; written once per job.
    Index(
        "jobs_ended",
        "position",
        "submitted_position",
        sqlite_where=text("status IN ('completed', 'failed', 'cancelled')"),
        postgresql_where=text("status IN ('completed', 'failed', 'cancelled')"),
    ),
    Index(
        "jobs_by_idempotency_key",
        "idempotency_key",
        unique=True,
        sqlite_where=text("idempotency_key IS NOT NULL"),
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
)

#: States of jobs at some of their versions, so that the state at any position is a short fold away.
snapshots = Table(
    "snapshots",
    metadata,
    Column("job_id", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    #: `JobState` as JSON.
    Column("state", Text, nullable=False),
    PrimaryKeyConstraint("job_id", "position"),
)

#: What else a job can be found by: `strategy:trend_follower`, `symbol:AAPL`, `label:desk=rates`.
job_terms = Table(
    "job_terms",
    metadata,
    Column("term", Text, nullable=False),
    Column("submitted_position", Integer, nullable=False),
    PrimaryKeyConstraint("term", "submitted_position"),
    sqlite_with_rowid=False,
)

#: Who may report on a job. Renewals are not events, so `renewals` lives here alone.
leases = Table(
    "leases",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.job_id"), primary_key=True),
    Column("lease_epoch", Integer, nullable=False),
    Column("worker", Text, nullable=False),
    #: Counts up for as long as the worker lives. (No time is compared with another machine's clock.)
    Column("renewals", Integer, nullable=False),
    #: The request that got the lease, so that it gets the same one when its answer was lost; NULL for local workers.
    Column("claim_id", Text),
)

#: The workers that were seen lately. Not facts about jobs: these are in JobClaimed.
workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    #: `local` or `host`.
    Column("kind", Text, nullable=False),
    #: `starting`, `alive`, `draining`, `stopped` or `lost`.
    Column("state", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    #: Of ktrdr.
    Column("version", Text, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("has_gpu", Integer, nullable=False),
    #: DeviceCapabilities as JSON.
    Column("capabilities", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("last_seen", Text, nullable=False),
    #: Counts up for as long as the worker lives.
    Column("beats", Integer, nullable=False),
)

#: One row per thing of the service that has events: a setting, a token, a schedule (`ktrdr.jobs.service`).
subjects = Table(
    "subjects",
    metadata,
    #: `kind:name`, the `job_id` of its events.
    Column("id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    #: The subject as JSON.
    Column("state", Text, nullable=False),
)

#: Which stored data a symbol and timeframe mean today; a job keeps the digest that it was submitted with.
datasets = Table(
    "datasets",
    metadata,
    #: `prices` of a symbol, or `values` of a context series: then `symbol` is its name and `timeframe` its frequency.
    Column("kind", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("timeframe", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("first", Text, nullable=False),
    Column("last", Text, nullable=False),
    Column("imported_at", Text, nullable=False),
    PrimaryKeyConstraint("kind", "symbol", "timeframe"),
)

#: Strategy files kept by name, as they were written.
strategies = Table(
    "strategies",
    metadata,
    Column("name", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("stored_at", Text, nullable=False),
)
