"""Models and what they say. Imports the client's own parts; downloads are written to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ktrdr.client.calls import Call, Steps, answer_of, as_bytes, as_json, given, part, path


def model(job_id: str, file: Path | str) -> Steps[Path]:
    """Downloads the model of a completed job as a zip file to `file`, which appears whole or not at all."""
    return _download(job_id, "model", Path(file))


def bundle(job_id: str, file: Path | str) -> Steps[Path]:
    """Downloads a job as a zip file that verifies offline to `file`, which appears whole or not at all."""
    return _download(job_id, "bundle", Path(file))


def report_page(job_id: str, file: Path | str) -> Steps[Path]:
    """Writes the report as one HTML file to `file`, which appears whole or not at all."""
    return _download(job_id, "report", Path(file), accept="text/html")


def _download(job_id: str, what: str, file: Path, *, accept: str = "*/*") -> Steps[Path]:
    call: Call[bytes] = Call(method="GET", path=path("jobs", job_id, what), headers={"Accept": accept}, read=as_bytes)
    content = yield from answer_of(call)
    partial = file.with_name(f".{file.name}.part")
    partial.write_bytes(content)
    return partial.replace(file)


def provenance(job_id: str) -> Call[dict[str, Any]]:
    """The signed statement where the model of a completed job comes from: a DSSE envelope."""
    return Call(method="GET", path=path("jobs", job_id, "provenance"), read=as_json)


def predict(
    job_id: str, *, symbol: str | None = None, bars: Sequence[Mapping[str, Any]] | None = None, last: int = 1
) -> Call[list[dict[str, Any]]]:
    """What the model of a completed job says of the newest bars: stored ones of `symbol`, or the given ones."""
    body = given(symbol=symbol, bars=bars, last=last)
    return Call(method="POST", path=path("jobs", job_id, "predict"), json=body, read=part("predictions"))


def explain(job_id: str, *, symbol: str, at: str | None = None, last: int | None = None) -> Call[dict[str, Any]]:
    """Why the model of a completed job says what it says: of one `bar` of a symbol, and as a `model` over many."""
    body = given(symbol=symbol, at=at, last=last)
    return Call(method="POST", path=path("jobs", job_id, "explain"), json=body, read=as_json)


def report(job_id: str) -> Call[dict[str, Any]]:
    """What the model of a completed job is worth, with everything that its report shows."""
    where = path("jobs", job_id, "report")
    return Call(method="GET", path=where, headers={"Accept": "application/json"}, read=as_json)
