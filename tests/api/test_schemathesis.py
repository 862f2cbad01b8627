"""The OpenAPI document is true: schemathesis, with all of its checks, finds no answer of a real service that breaks it.

A short look, at everything that needs no finished training; `python tests/fuzz_api.py` looks longer and at the rest.
"""

from __future__ import annotations

from pathlib import Path

from fuzz_api import fuzz, new_service, start


def test_no_answer_breaks_the_document(tmp_path: Path) -> None:
    service = new_service(tmp_path)
    more = ("--phases", "fuzzing", "--no-shrink", "--exclude-tag", "models")
    try:
        start(service, trained=False)
        assert fuzz(service, examples=2, seed=11, folder=tmp_path, more=more) == 0
    finally:
        service.close()
