"""Which scope each operation wants, and that a token without it gets nowhere."""

from __future__ import annotations

import pytest
from token_service import TokenService

from ktrdr.api.access.gate import WORK_FOLDERS
from ktrdr.api.openapi import document
from ktrdr.api.routes import OPERATIONS, PREFIX, Operation
from ktrdr.jobs.service.tokens import Scope, allowed_by

NO_JOB = "01234567-89ab-7def-8123-456789abcdef"
#: Everything that changes something, or looks at nothing but the work; the rest is for whoever may read.
WANTED = {
    None: {"GET /healthz", "GET /readyz"},
    Scope.SUBMIT: {
        "POST /jobs", "POST /jobs/{job_id}/cancel", "POST /jobs/{job_id}/retry", "POST /jobs/{job_id}/fork",
        "POST /jobs/{job_id}/counterfactual", "PUT /strategies/{name}", "PUT /datasets",
    },
    Scope.WORK: {
        "PUT /workers/{name}", "GET /prices/{digest}", "POST /leases",
        *(f"{asked.replace(' ', ' /leases/{job_id}/{lease_epoch:int}/')}" for asked in (
            "POST events", "POST renew", "GET cancellation", "POST regain", "GET checkpoints/{digest}",
            "GET uploads/{digest}", "PATCH uploads/{digest}", "POST complete", "POST fail", "POST stopped",
            "POST release",
        )),
    },
    Scope.ADMIN: {"PATCH /settings", "POST /audit/checkpoints"},
}  # fmt: skip
#: These answer a question that needs a body.
ASKING = {"POST /jobs/{job_id}/predict", "POST /jobs/{job_id}/explain", "POST /strategies"}


def named(operation: Operation) -> str:
    return f"{operation.method} {operation.path.removeprefix(PREFIX)}"


def wanted_by(operation: Operation) -> Scope | None:
    return next((scope for scope, names in WANTED.items() if named(operation) in names), Scope.READ)


def test_every_operation_wants_the_scope_that_is_written_here() -> None:
    schedules = {named(one) for one in OPERATIONS if "/schedules" in one.path}
    assert {named(one): one.scope for one in OPERATIONS if named(one) not in schedules} == {
        named(one): wanted_by(one) for one in OPERATIONS if named(one) not in schedules
    }
    assert set().union(*WANTED.values()) <= {named(one) for one in OPERATIONS}


def test_whoever_may_only_read_changes_nothing() -> None:
    for operation in OPERATIONS:
        if operation.scope is Scope.READ:
            assert operation.method == "GET" or named(operation) in ASKING
        if operation.method in ("PUT", "PATCH", "DELETE"):
            assert operation.scope in (Scope.SUBMIT, Scope.WORK, Scope.ADMIN)


def test_the_document_names_the_scope_of_each_operation() -> None:
    paths = document()["paths"]
    for operation in OPERATIONS:
        entry = paths[operation.path.replace(":int", "")][operation.method.lower()]
        if operation.scope is None:
            assert entry["security"] == [{}]
        else:
            assert entry["security"] == [{}, {"token": [operation.scope]}]
            assert {"401", "403", "429"} <= set(entry["responses"])


def test_the_rate_of_workers_is_that_of_what_workers_may_do() -> None:
    for operation in OPERATIONS:
        assert operation.path.startswith(WORK_FOLDERS) == (operation.scope is Scope.WORK), named(operation)


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
def test_a_token_without_the_scope_is_refused_and_one_with_it_is_not(
    token_service: TokenService, operation: Operation
) -> None:
    filled = {"job_id": NO_JOB, "lease_epoch:int": "1", "digest": "0" * 64, "name": "nothing"}
    path = operation.path
    for parameter, value in filled.items():
        path = path.replace(f"{{{parameter}}}", value)
    if operation.scope is None:
        assert token_service.ask(operation.method, path).status_code == 200
        return
    assert token_service.ask(operation.method, path).status_code == 401
    for given in Scope:
        answer = token_service.ask(operation.method, path, given)
        if operation.scope in allowed_by([given]):
            assert answer.status_code not in (401, 403, 405), answer.text
        else:
            assert answer.status_code == 403, answer.text
            problem = answer.json()
            assert problem["type"] == "/problems/forbidden"
            assert f"wants the scope {operation.scope}; token:{given} has: " in problem["detail"]
            assert f'error="insufficient_scope", scope="{operation.scope}"' in answer.headers["www-authenticate"]
