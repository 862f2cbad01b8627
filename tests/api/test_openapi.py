"""The OpenAPI document says what the API does."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from running_service import RunningService

from ktrdr.api.examples import BODIES
from ktrdr.api.openapi import document, name_of
from ktrdr.api.routes import OPERATIONS, Operation


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


def test_it_is_a_valid_document(described: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator(described).iter_errors()) == []


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.body], ids=name_of)
def test_every_example_of_a_body_is_accepted_by_what_validates_it(operation: Operation) -> None:
    assert operation.body is not None
    operation.body.model_validate_json(json.dumps(BODIES[name_of(operation)]))


def test_every_example_of_a_parameter_fits_its_schema(described: dict[str, Any]) -> None:
    seen = 0
    for methods in described["paths"].values():
        for entry in methods.values():
            for parameter in entry["parameters"]:
                if "example" in parameter:
                    Draft202012Validator(parameter["schema"]).validate(parameter["example"])
                    seen += 1
    assert seen > 50


def test_what_every_answer_has_is_said_of_every_answer(described: dict[str, Any]) -> None:
    for methods in described["paths"].values():
        for entry in methods.values():
            assert {"400", "414", "421", "431", "500"} <= entry["responses"].keys()
            for status, answer in entry["responses"].items():
                assert "X-Request-Id" in answer["headers"], (entry["operationId"], status)
                if int(status) >= 400 and "application/problem+json" not in answer["content"]:
                    assert (entry["operationId"], status) == ("health_readyz", "503")


@pytest.mark.parametrize(
    ("path", "method", "status", "headers"),
    [
        ("/api/v1/jobs", "post", "202", {"Location", "Retry-After", "Preference-Applied"}),
        ("/api/v1/jobs", "get", "200", {"ETag", "Link"}),
        ("/api/v1/jobs/{job_id}", "get", "304", {"ETag"}),
        ("/api/v1/jobs/{job_id}/cancel", "post", "202", {"Retry-After"}),
        ("/api/v1/jobs", "post", "401", {"WWW-Authenticate"}),
        ("/api/v1/jobs", "post", "503", {"Retry-After"}),
    ],
)
def test_headers_of_answers_are_described(
    described: dict[str, Any], path: str, method: str, status: str, headers: set[str]
) -> None:
    assert headers <= described["paths"][path][method]["responses"][status]["headers"].keys()


@pytest.mark.parametrize("path", ["/api/v1/events", "/api/v1/jobs/{job_id}/events"])
def test_streams_are_described(described: dict[str, Any], path: str) -> None:
    content = described["paths"][path]["get"]["responses"]["200"]["content"]
    assert set(content) == {"application/json", "text/event-stream"}
    assert "Last-Event-ID" in content["text/event-stream"]["schema"]["description"]


def test_comments_on_fields_reach_the_reader(described: dict[str, Any]) -> None:
    fields = described["components"]["schemas"]["JobDetail"]["properties"]
    assert fields["waiting"]["description"].startswith("Why it is in the queue still")  # its own
    assert fields["version"]["description"].startswith("How many events the job has")  # of what it goes on from


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    references = re.findall(r"'\$ref': '([^']+)'", str(described))
    assert references
    for reference in references:
        kind, name = reference.removeprefix("#/components/").split("/")
        assert name in described["components"][kind]


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
