"""The OpenAPI document says what the API does."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest
from running_service import RunningService

from ktrdr.api.openapi import document
from ktrdr.api.routes import OPERATIONS


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document()


def test_every_operation_is_described_with_a_sentence(described: dict[str, Any]) -> None:
    for operation in OPERATIONS:
        path = operation.path.replace(":int", "")
        entry = described["paths"][path][operation.method.lower()]
        assert entry["summary"].endswith((".", ":")) or "." in entry["summary"] or entry["summary"]
        assert set(map(str, operation.gives)) <= set(entry["responses"])
    names = [entry["operationId"] for methods in described["paths"].values() for entry in methods.values()]
    assert len(names) == len(set(names)) == len(OPERATIONS)


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    references = re.findall(r"'\$ref': '([^']+)'", str(described))
    assert references
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in schemas


def test_every_parameter_of_a_path_is_described(described: dict[str, Any]) -> None:
    for path, methods in described["paths"].items():
        for entry in methods.values():
            described_names = {parameter["name"] for parameter in entry["parameters"] if parameter["in"] == "path"}
            assert described_names == set(re.findall(r"{(\w+)}", path))


def test_the_service_serves_the_document(service: RunningService, described: dict[str, Any]) -> None:
    assert httpx2.get(f"{service.url}/openapi.json").json() == described


def test_a_job_has_exactly_the_members_that_the_document_requires(
    service: RunningService, described: dict[str, Any]
) -> None:
    schema = described["components"]["schemas"]["JobView"]
    listed = service.http.get("/jobs", params={"limit": 1}).json()["jobs"]
    for job in listed:
        assert set(job) == set(schema["required"]) == set(schema["properties"])
