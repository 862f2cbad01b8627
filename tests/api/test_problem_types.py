"""Every problem that can be raised has a type with a page, and says what the page says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from running_service import RunningService

import ktrdr
from ktrdr.jobs import refusals
from ktrdr.jobs.refusals import RefusalError
from ktrdr.problem_types import TYPES, ProblemType, reference
from ktrdr.problems import from_refusal

PACKAGE = Path(ktrdr.__file__).parent


def raised() -> Iterator[tuple[str, str]]:
    """Place and name of every problem that the code makes."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem" and node.args:
                yield f"{file.relative_to(PACKAGE)}:{node.lineno}", ast.unparse(node)


CALLS = list(raised())


@pytest.mark.parametrize("call", [call for _, call in CALLS], ids=[place for place, _ in CALLS])
def test_what_is_raised_is_of_a_known_type(call: str) -> None:
    found = re.match(r"Problem\('([a-z-]+)', (\d{3}), (?:'([^']*)'|\"([^\"]*)\"|(\w+))", call)
    if found is None:  # made from a table of names, which the tests below go through
        assert "names.get(" in call or "Problem(name, status" in call, call
        return
    known = TYPES[found[1]]
    assert known.status == int(found[2])
    assert (found[3] or found[4] or known.title) == known.title


def test_there_are_problems_to_look_at() -> None:
    assert len(CALLS) > 15


@pytest.mark.parametrize(
    "kind", [one for one in vars(refusals).values() if isinstance(one, type) and issubclass(one, RefusalError)]
)
def test_every_refusal_has_a_type(kind: type[RefusalError]) -> None:
    if kind is RefusalError:
        return
    problem = from_refusal(kind.__new__(kind))
    known = TYPES[problem.name]
    assert (problem.status, problem.title) == (known.status, known.title)


@pytest.mark.parametrize("known", TYPES.values(), ids=lambda one: one.name)
def test_every_type_has_a_page(service: RunningService, known: ProblemType) -> None:
    answer = httpx2.get(service.url + known.address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    shown = re.sub(r"&#34;", '"', re.sub(r"&#39;", "'", answer.text))
    for text in (known.title, known.meaning, known.remedy, known.example):
        assert text in shown


def test_a_problem_leads_to_its_page(service: RunningService) -> None:
    problem = service.http.get("/jobs/nothing").json()
    page = httpx2.get(httpx2.URL(service.url).join(problem["type"]))
    assert page.status_code == 200
    assert problem["title"] in page.text


def test_there_is_a_page_of_all_types(service: RunningService) -> None:
    page = httpx2.get(f"{service.url}/problems").text
    assert all(f'href="{one.address}"' in page for one in TYPES.values())


@pytest.mark.parametrize("name", ["nothing", "%3Cscript%3E", "%2E%2E", "a/b"])
def test_what_is_no_type_has_none(service: RunningService, name: str) -> None:
    answer = httpx2.get(f"{service.url}/problems/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_the_page_of_the_documentation_is_current() -> None:
    page = PACKAGE.parent / "docs" / "problems.md"
    assert page.read_text("utf-8") == reference(), "run: python -m ktrdr.problem_types > docs/problems.md"
