"""Every metric that `/metrics` gives: its name, kind, labels and meaning. Imports the standard library only.

The documentation's table is made from this, and a test compares it with what a service really answers.
"""

from __future__ import annotations

from dataclasses import dataclass

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. The name of a counter ends with `_total`; a histogram has `_bucket`, `_sum` and `_count`."""

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...] = ()


_ALL = (
    Family("ktrdr_build_info", GAUGE, "1, with the version of ktrdr as label", ("version",)),
    # The queue and the jobs
    Family("ktrdr_jobs", GAUGE, "Jobs by status", ("status",)),
    Family("ktrdr_queue_jobs", GAUGE, "Jobs that wait, by the class of workers that they wait for", ("waits_for",)),
    Family(
        "ktrdr_queue_oldest_seconds", GAUGE, "Time since the oldest job that waits was submitted; 0 if none waits",
        ("waits_for",),
    ),
    Family("ktrdr_jobs_submitted_total", COUNTER, "Jobs that were ever submitted, whatever process took them"),
    Family("ktrdr_jobs_ended_total", COUNTER, "Jobs that have ever ended, by how", ("status",)),
    Family("ktrdr_claims_total", COUNTER, "Jobs given to workers, since the API started", ("worker_kind",)),
    Family("ktrdr_requeues_total", COUNTER, "Attempts that went back to the queue, since the API started", ("reason",)),
    Family("ktrdr_failures_total", COUNTER, "Jobs that failed, by kind of failure, since the API started", ("kind",)),
    Family(
        "ktrdr_cancellations_total", COUNTER, "Jobs that were cancelled, by how, since the API started", ("outcome",)
    ),
    Family("ktrdr_events_total", COUNTER, "Events recorded, by type, since the API started", ("type",)),
    Family("ktrdr_submit_to_claim_seconds", HISTOGRAM, "From the submission of a job to its first claim"),
    Family("ktrdr_cancel_to_end_seconds", HISTOGRAM, "From the request of a cancellation to the end of the job"),
    Family("ktrdr_attempt_seconds", HISTOGRAM, "From the claim to the end of an attempt, by outcome", ("outcome",)),
    # The training
    Family("ktrdr_stage_seconds", HISTOGRAM, "How long each of the eleven steps of a training took", ("stage",)),
    Family("ktrdr_training_epochs_total", COUNTER, "Epochs trained, since the API started", ("worker_kind",)),
    Family("ktrdr_training_batches_total", COUNTER, "Batches trained, counted by epochs", ("worker_kind",)),
    Family("ktrdr_training_samples_total", COUNTER, "Samples trained, counted by epochs", ("worker_kind",)),
    Family(
        "ktrdr_training_epoch_seconds", HISTOGRAM,
        "Time of an epoch; samples divided by its sum are the speed of one training", ("worker_kind",),
    ),
    # Workers and leases
    Family("ktrdr_workers", GAUGE, "Workers that were heard of within a day", ("kind", "state")),
    Family("ktrdr_worker_slots", GAUGE, "Jobs that the workers that take jobs can run at once", ("kind",)),
    Family("ktrdr_worker_slots_busy", GAUGE, "Jobs that workers hold", ("kind",)),
    Family(
        "ktrdr_worker_silence_seconds", GAUGE,
        "Time since the worker that was silent for longest, of those that count as living, was heard of", ("kind",),
    ),
    Family(
        "ktrdr_lease_renewals_total", COUNTER,
        "Renewals of leases that were seen at scrapes; those between the last scrape and the end of a lease are not",
    ),
    Family(
        "ktrdr_lease_silence_seconds", GAUGE,
        "Longest time for which no scrape has seen a lease renewed; about the time between two scrapes if all is well",
    ),
    # The log
    Family("ktrdr_log_events", GAUGE, "Events in the log: the size of its Merkle tree"),
    Family("ktrdr_log_unsigned_events", GAUGE, "Events after the newest signed checkpoint"),
    Family("ktrdr_log_signed_seconds", GAUGE, "Time since the newest signed checkpoint; absent if there is none"),
    Family("ktrdr_commit_seconds", HISTOGRAM, "A commit of the API: waiting for its turn, the writes, the disk's sync"),
    Family("ktrdr_commit_operations_total", COUNTER, "Writes that the API's commits held; several may share one"),
    # The database
    Family("ktrdr_database_bytes", GAUGE, "Size of the database file"),
    Family("ktrdr_wal_bytes", GAUGE, "Size of the write-ahead log's file, of which old parts are used again"),
    Family("ktrdr_wal_pages", GAUGE, "Pages in the write-ahead log"),
    Family("ktrdr_wal_unmoved_pages", GAUGE, "Pages of the write-ahead log that are not in the database file yet"),
    Family(
        "ktrdr_oldest_reader_seconds", GAUGE,
        "For how long, as far as scrapes have seen, some process reads at a moment so old that the write-ahead log "
        "grows; 0 if none does. (The API holds no read open; an export or a backup may.)",
    ),
    Family("ktrdr_disk_free_bytes", GAUGE, "Free space where the data is"),
    # HTTP
    Family("ktrdr_http_requests_total", COUNTER, "Requests answered, by route template", ("method", "route", "status")),
    Family(
        "ktrdr_http_request_seconds", HISTOGRAM, "Time to the end of the answer, without streams and long polls",
        ("method", "route"),
    ),
    Family("ktrdr_http_in_progress", GAUGE, "Requests under way: short, wait (long polls) or stream", ("sort",)),
    Family("ktrdr_event_loop_lag_seconds", GAUGE, "Longest delay of the API's event loop since the scrape before"),
    Family("ktrdr_scrape_seconds", GAUGE, "What the figures of the scrape before took to collect"),
    # The process of the API; made by prometheus-client
    Family("ktrdr_process_cpu_seconds_total", COUNTER, "Processor time of the API"),
    Family("ktrdr_process_resident_memory_bytes", GAUGE, "Memory of the API"),
    Family("ktrdr_process_virtual_memory_bytes", GAUGE, "Addresses of the API's memory"),
    Family("ktrdr_process_start_time_seconds", GAUGE, "When the API started, in seconds since 1970"),
    Family("ktrdr_process_open_fds", GAUGE, "Open files and connections of the API"),
    Family("ktrdr_process_max_fds", GAUGE, "Files and connections that it may open"),
)  # fmt: skip

FAMILIES = {family.name: family for family in _ALL}
