"""The page of the API documentation, in a real browser that reaches nothing but the service."""

from __future__ import annotations

import httpx2
import pytest
from browser import Browser
from running_service import RunningService

from ktrdr.api.routes import OPERATIONS


def test_the_document_can_be_read_and_tried_out(service: RunningService, browser: Browser) -> None:
    browser.open(f"{service.url}/docs")
    browser.wait_for("document.querySelectorAll('.opblock').length")
    assert browser.run("document.querySelectorAll('.opblock').length") == len(OPERATIONS)
    assert browser.run("document.querySelector('.errors-wrapper')") is None
    browser.click("#operations-health-health_healthz .opblock-summary-control")
    browser.wait_for("!!document.querySelector('#operations-health-health_healthz .try-out__btn')")
    browser.click("#operations-health-health_healthz .try-out__btn")
    browser.wait_for("!!document.querySelector('#operations-health-health_healthz .execute')")
    browser.click("#operations-health-health_healthz .execute")
    status = "#operations-health-health_healthz .live-responses-table .response .response-col_status"
    shown = f"document.querySelector('{status}')"
    browser.wait_for(f"!!{shown} && {shown}.innerText.startsWith('200')")


def test_a_page_of_a_problem_is_a_page_of_the_dashboard(service: RunningService, browser: Browser) -> None:
    browser.open(f"{service.url}/problems/too-large")
    assert browser.text("h1") == "The request is too large"


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js", "swagger-ui.css", "page.js", "page.css", "LICENSE", "NOTICE"])
def test_what_the_page_is_made_of_comes_from_the_service(service: RunningService, name: str) -> None:
    answer = httpx2.get(f"{service.url}/docs/{name}")
    assert answer.status_code == 200
    again = httpx2.get(f"{service.url}/docs/{name}", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_only_the_documentation_may_set_styles_at_elements(service: RunningService) -> None:
    docs, other = (httpx2.get(service.url + path).headers["content-security-policy"] for path in ("/docs", "/problems"))
    assert "script-src" not in docs
    assert "'unsafe-inline'" in docs.partition("style-src")[2].partition(";")[0]
    assert "unsafe-inline" not in other
    assert "unsafe" not in docs.replace("'unsafe-inline'", "")
