"""Every type of problem that the API can answer with: its status and title, what it means, what helps, an example.

Imports the standard library only. The pages under /problems/ and docs/problems.md are made of this table:

    python -m ktrdr.problem_types > docs/problems.md
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

#: A type is a relative reference (RFC 9457, section 3.1.1), so that it leads to the service that gave it.
TYPE_PREFIX = "/problems/"


@dataclass(frozen=True, slots=True)
class ProblemType:
    #: Ends the type's address.
    name: str
    status: int
    #: The same for every problem of the type.
    title: str
    meaning: str
    remedy: str
    #: A `detail` as it can be.
    example: str

    @property
    def address(self) -> str:
        return TYPE_PREFIX + self.name


_TYPES = (
    ProblemType(
        "unauthorized", 401, "This service wants a token",
        "The service is guarded, and the request carried no token, or one that the service does not know.",
        "Set KTRDR_TOKEN for the command line and host workers, or send the header Authorization: Bearer TOKEN.",
        "the request had none",
    ),
    ProblemType(
        "forbidden", 403, "This is not allowed to whoever asks",
        "The token is known, but its scopes do not allow this, or what the address names belongs to another token.",
        "Ask whoever runs the service for a token with the scope that the detail names.",
        "this wants the scope admin; token:ci has: read, submit",
    ),
    ProblemType(
        "cross-site", 403, "Another site's page caused this request",
        "A browser sent this for a page of another origin, which could else act in the name of whoever looks at it.",
        "Use the dashboard of the service itself, or a program that sends a token in the header Authorization.",
        "the browser says that it comes from a page of another origin",
    ),
    ProblemType(
        "token-in-address", 400, "A token does not belong into an address",
        "The path or query of the request holds a token, or a parameter that is named like one. Addresses are kept in "
        "logs and histories.",
        "Revoke the token, make another one, and send that in the header Authorization: Bearer TOKEN.",
        "addresses are kept in logs and histories; consider the token known to others",
    ),
    ProblemType(
        "not-found", 404, "There is no such thing",
        "Nothing is at this address, or what it names does not exist, or did not exist at the moment asked about.",
        "The document at /openapi.json lists every address; lists of jobs, strategies and datasets say what there is.",
        "there is no strategy 'trend_folower'",
    ),
    ProblemType(
        "unknown-job", 404, "There is no such job",
        "No job has this id.",
        "List the jobs with: ktrdr jobs list.",
        "there is no job 01234567-89ab-7def-8123-456789abcdef",
    ),
    ProblemType(
        "unknown-token", 404, "There is no such token",
        "No token has this name.",
        "List the tokens with: ktrdr tokens list.",
        "there is no token 'ci'",
    ),
    ProblemType(
        "unknown-schedule", 404, "There is no such schedule",
        "No schedule has this name.",
        "List the schedules with: ktrdr schedules list.",
        "there is no schedule 'nightly'",
    ),
    ProblemType(
        "method-not-allowed", 405, "Method Not Allowed",
        "The address exists, but not for this method.",
        "The header Allow lists the methods that are possible.",
        "DELETE is not possible at /api/v1/jobs",
    ),
    ProblemType(
        "conflict", 409, "The present state does not allow this",
        "The request is right in itself, but what it is about is in another state than it needs.",
        "The detail says which state; wait for another one, or ask for something else.",
        "job 0197… is running",
    ),
    ProblemType(
        "job-finished", 409, "The job has already finished",
        "The job has ended: completed, failed or cancelled. Nothing more can happen to it.",
        "Submit it again to train another model: ktrdr jobs retry JOB.",
        "job 0197… is already completed, so nothing more can happen to it",
    ),
    ProblemType(
        "lease-lost", 409, "The lease is no longer held",
        "A worker spoke for an attempt that is no longer its own: it was silent for too long, and the job goes on "
        "elsewhere.",
        "Stop the attempt and discard its work.",
        "lease 1 of job 0197… is no longer held: lease 2 is",
    ),
    ProblemType(
        "not-queued", 409, "The job is not waiting for a worker",
        "A worker wanted a job that another one has, or that has ended.",
        "Ask for the next job.",
        "job 0197… is running, so it cannot be claimed",
    ),
    ProblemType(
        "missing-report", 409, "Reports are missing in between",
        "A worker numbers what it reports of an attempt, and numbers were left out.",
        "Report from the number that is missing.",
        "event 7 of this attempt was never received, so event 9 cannot follow",
    ),
    ProblemType(
        "stale-version", 409, "The job changed since it was read",
        "Someone else changed the job between reading and writing.",
        "Read the job again and repeat the command.",
        "job 0197… is at version 9, not 8",
    ),
    ProblemType(
        "token-exists", 409, "There is such a token already",
        "A token has this name, and the log says of each name who used it.",
        "Choose another name, or revoke that token first: ktrdr tokens revoke NAME.",
        "there is a token 'ci' already",
    ),
    ProblemType(
        "schedule-exists", 409, "There is such a schedule already",
        "A schedule has this name.",
        "Choose another name, change that schedule, or delete it first: ktrdr schedules delete NAME.",
        "there is a schedule 'nightly' already",
    ),
    ProblemType(
        "schedule-busy", 409, "The schedule's job before has not ended",
        "The schedule submits one job at a time, and the one before has not ended.",
        "Wait for its end, cancel it, or let the schedule queue its jobs.",
        "job 0197… of the schedule 'nightly' is running",
    ),
    ProblemType(
        "wrong-offset", 409, "Bytes are missing in between",
        "A part of an upload does not begin where the service's part of the file ends.",
        "Ask for the state of the upload and go on from its offset.",
        "8388608 bytes are here, so 16777216 cannot follow",
    ),
    ProblemType(
        "damaged-upload", 409, "The upload is not the announced file",
        "Every byte has arrived, but their SHA-256 is not the one that the address names. They were dropped.",
        "Upload the file again from the start.",
        "the bytes received as 9f86… have the SHA-256 60303…; they were dropped",
    ),
    ProblemType(
        "damaged-model", 409, "The uploaded model is not the announced one",
        "The files that a worker uploaded do not make up the model that it says it has trained.",
        "Look at the worker's log; the attempt has to be made again.",
        "its digest is 60303…",
    ),
    ProblemType(
        "missing-upload", 409, "Files are missing",
        "A worker named files that it has not uploaded under this lease.",
        "Upload them under this lease, then ask again.",
        "not uploaded: weights.safetensors",
    ),
    ProblemType(
        "precondition-failed", 412, "It changed since it was read",
        "The request was to be carried out only for the state that its If-Match names (or, with If-None-Match: *, only "
        "if there was nothing yet), and that is not the present one. Nothing was changed.",
        "Read it again; if the request is still right, repeat it with the new ETag.",
        'the ETag of job 0197… is "v9", and If-Match names "v8"',
    ),
    ProblemType(
        "too-large", 413, "The request is too large",
        "The body has more bytes than this address takes.",
        "Send less at once.",
        "at most 1,000,000 bytes are accepted here",
    ),
    ProblemType(
        "address-too-long", 414, "The address is too long",
        "Path and query together have more bytes, or the query more parameters, than any request needs.",
        "Ask for less at once.",
        "at most 8,192 bytes are accepted here",
    ),
    ProblemType(
        "unsupported-media-type", 415, "This kind of content is not understood",
        "The header Content-Type names something else than the body has to be.",
        "Send the content type that the fix names.",
        "got 'text/plain'",
    ),
    ProblemType(
        "range-not-satisfiable", 416, "There is nothing in this range",
        "The header Range asks for bytes beyond the end of the file.",
        "Content-Range says how many bytes there are.",
        "the file has 1024 bytes",
    ),
    ProblemType(
        "unknown-host", 421, "This service does not go by that name",
        "Without tokens the service answers only under the names of its own machine, so that no page of another site "
        "can reach it under a name that its owner lets point here.",
        "Use 127.0.0.1 or localhost; or set KTRDR_URL of the service to the address that is meant; or make a token.",
        "the header Host names another machine",
    ),
    ProblemType(
        "invalid-request", 422, "The request is not valid",
        "The request can be read, but says things that are wrong. Every fault is listed in `errors`, each with its "
        "place (`pointer` as a JSON Pointer, `path` for people), what is wrong and what would be right. Nothing was "
        "changed.",
        "Mend every entry of `errors`, then send it again.",
        "2 faults found; nothing was changed",
    ),
    ProblemType(
        "idempotency-key-reused", 422, "The idempotency key was used for another request",
        "An Idempotency-Key belongs to one request. This one has come before with another content.",
        "Send the first request unchanged, or choose another key.",
        "the key 'a1' belongs to job 0197…, which was submitted with other content",
    ),
    ProblemType(
        "rate-limited", 429, "Too many requests",
        "Whoever asks has asked more often than the service allows.",
        "Wait for as many seconds as Retry-After says.",
        "token:ci may ask 600 times in 60 s",
    ),
    ProblemType(
        "headers-too-large", 431, "The headers are too large",
        "The header fields together have more bytes than any request needs.",
        "Send fewer or shorter ones.",
        "at most 32,768 bytes are accepted here",
    ),
    ProblemType(
        "http-error", 400, "The request is not understood",
        "The request breaks a rule of HTTP itself.",
        "The detail says which; most libraries for HTTP do this right by themselves.",
        "Bad Request",
    ),
    ProblemType(
        "internal-error", 500, "The service made a mistake",
        "Something went wrong inside the service. It is in the service's log, under the request's id.",
        "Look at the log of the service; if the fault is ktrdr's, report it with what the log says.",
        "it is in the service's log; nothing was changed",
    ),
    ProblemType(
        "unavailable", 503, "The service cannot do this at the moment",
        "Another process holds the database, a worker pool is full, or the service is stopping.",
        "Try again after as many seconds as Retry-After says.",
        "the database is busy",
    ),
    ProblemType(
        "storage-full", 507, "There is no room to write this",
        "The disk is full, or may not be written to. Nothing was changed.",
        "Make room, then ask again.",
        "the disk of /srv/ktrdr is full; nothing was changed",
    ),
)  # fmt: skip

TYPES: Mapping[str, ProblemType] = {one.name: one for one in _TYPES}

_HEAD = """\
# Problems

Every error of the API is a problem document (RFC 9457, `application/problem+json`): `type`, `title` and `status` as
below, `detail` for this one occurrence, `fix` where something can be done about it, `errors` with every fault of the
request, and `request_id`, which the service's log and the header `X-Request-Id` carry too. `type` is an address below
the service's own: it leads to the same text as here. Made from `ktrdr/problem_types.py`.
"""


def reference() -> str:
    """The page of all types, as Markdown."""
    return "\n".join([_HEAD, *(_section(one) for one in _TYPES)])


def _section(one: ProblemType) -> str:
    return (
        f"## {one.name}\n\n**{one.status}: {one.title}.** {one.meaning}\n\nWhat helps: {one.remedy}\n\n"
        f"Example: `{one.example}`\n"
    )


if __name__ == "__main__":
    sys.stdout.write(reference())
