"""Jobs as they were, over HTTP: lists, single jobs and what changed, as of a position or an instant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from audited_log import CANCELLED_JOB, COMPLETED_JOB, END, RUNNING_JOB, SUBMISSION, write_log
from running_service import RunningService
from strategies import short

from ktrdr.clock import later
from ktrdr.jobs.identity import make_job_id

#: Of the cancelled job: it was submitted, then asked to stop, then cancelled; and of the newest event.
ASKED, CANCELLED, NEWEST = 8, 9, 11


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service over a written log that nobody adds to."""
    running = RunningService(tmp_path_factory.mktemp("history") / "home")
    try:
        running.home.mkdir()
        write_log(running.home)
        running.start("serve")
        yield running
    finally:
        running.close()


def _statuses(service: RunningService, **query: Any) -> dict[str, str]:
    answer = service.http.get("/jobs", params=query)
    assert answer.status_code == 200, answer.text
    return {job["id"]: job["status"] for job in answer.json()["jobs"]}


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (0, {}),
        (SUBMISSION, {COMPLETED_JOB: "queued"}),
        (END - 1, {COMPLETED_JOB: "running"}),
        (END, {COMPLETED_JOB: "completed"}),
        (ASKED, {CANCELLED_JOB: "cancelling", COMPLETED_JOB: "completed"}),
        (NEWEST, {RUNNING_JOB: "running", CANCELLED_JOB: "cancelled", COMPLETED_JOB: "completed"}),
    ],
)
def test_a_list_is_as_it_was_after_the_event_at_a_position(
    history: RunningService, position: int, expected: dict[str, str]
) -> None:
    found = _statuses(history, as_of=position)
    assert list(found.items()) == list(expected.items())
    for status in set(expected.values()):
        of_status = {job_id: one for job_id, one in expected.items() if one == status}
        assert _statuses(history, as_of=position, status=status) == of_status


def test_a_list_says_which_position_it_is_as_of(history: RunningService) -> None:
    instant = history.http.get("/events", params={"limit": 5}).json()["events"][-1]["recorded_at"]
    expected = {None: None, "7": 7, "2020-01-01": 0, later(instant, 1e6): NEWEST}
    for asked, position in expected.items():
        query = {} if asked is None else {"as_of": asked}
        assert history.http.get("/jobs", params=query).json()["as_of"] == position


def test_an_instant_means_all_that_was_recorded_until_then(history: RunningService) -> None:
    events = history.http.get("/events").json()["events"]
    for event in events:
        until = [one for one in events if one["recorded_at"] <= event["recorded_at"]]
        page = history.http.get("/jobs", params={"as_of": event["recorded_at"]}).json()
        assert page["as_of"] == until[-1]["position"]
    just_before = later(events[0]["recorded_at"], -0.000001)
    assert _statuses(history, as_of=just_before) == {}


def test_the_pages_of_a_list_stay_at_its_moment_while_the_log_grows(own_service: RunningService) -> None:
    own_service.start("serve")
    own_service.import_samples()
    ids = [own_service.client.submit(short())["id"] for _ in range(3)]
    tomorrow = "2999-12-31"
    first = own_service.http.get("/jobs", params={"as_of": tomorrow, "limit": 2, "status": "queued"})
    assert [job["id"] for job in first.json()["jobs"]] == [ids[2], ids[1]]
    own_service.client.cancel(ids[0])
    second = own_service.http.get(first.links["next"]["url"].removeprefix("/api/v1"))
    assert [(job["id"], job["status"]) for job in second.json()["jobs"]] == [(ids[0], "queued")]
    assert second.json()["as_of"] == first.json()["as_of"]
    assert "next" not in second.links
    listed = own_service.client.jobs(status=["queued"], as_of=first.json()["as_of"])
    assert [job["id"] for job in listed] == ids[::-1]


def test_a_job_is_as_it_was(history: RunningService) -> None:
    before, after = (history.client.job(COMPLETED_JOB, as_of=position) for position in (END - 1, END))
    assert (before["status"], before["version"], before["position"], before["result"]) == ("running", 5, 5, None)
    assert (after["status"], after["version"], after["worker"]) == ("completed", 6, None)
    assert before["submission"] == after["submission"]
    assert after == history.client.job(COMPLETED_JOB)


def test_a_waiting_job_of_the_past_says_nothing_of_why(history: RunningService) -> None:
    job = history.client.job(COMPLETED_JOB, as_of=SUBMISSION)
    assert (job["status"], job["waiting"]) == ("queued", None)


def test_the_etag_of_a_job_as_of_a_moment_is_its_version_then(history: RunningService) -> None:
    path, query = f"/jobs/{COMPLETED_JOB}", {"as_of": END - 1}
    etag = history.http.get(path, params=query, headers={"Accept-Encoding": "identity"}).headers["etag"]
    assert etag == '"v5"'
    assert history.http.get(path, params=query, headers={"If-None-Match": etag}).status_code == 304
    assert history.http.get(path, headers={"If-None-Match": etag}).status_code == 200


def test_a_job_that_was_not_submitted_yet_is_not_found_and_the_answer_says_since_when_it_is(
    history: RunningService,
) -> None:
    answer = history.http.get(f"/jobs/{CANCELLED_JOB}", params={"as_of": END})
    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/not-found"
    assert answer.json()["detail"] == f"job {CANCELLED_JOB} was not submitted yet as of 6 (position 6)"
    assert answer.json()["fix"].startswith("ask for position 7 or later: it was submitted at 20")


def test_a_job_that_never_was_is_unknown_at_any_moment(history: RunningService) -> None:
    answer = history.http.get(f"/jobs/{make_job_id(1, bytes(10))}", params={"as_of": END})
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-job")


PLACES = ["/jobs", f"/jobs/{COMPLETED_JOB}", "/audit/diff"]


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize(
    ("moment", "problem"),
    [
        ("12", "12 is not a position yet: the newest event is at 11"),
        ("9" * 60, "is not a position yet: the newest event is at 11"),
        ("yesterday", "'yesterday' is not a moment"),
        ("-1", "'-1' is not a moment"),
        ("", "'' is not a moment"),
        ("²", "'²' is not a moment"),
    ],
)
def test_a_moment_that_is_none_is_refused_with_what_would_be_one(
    history: RunningService, path: str, moment: str, problem: str
) -> None:
    name = "from" if path == "/audit/diff" else "as_of"
    answer = history.http.get(path, params={name: moment})
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["path"] == name
    assert problem in fault["detail"]
    assert fault["fix"]


def test_a_cursor_belongs_to_one_kind_of_list(history: RunningService) -> None:
    now = history.http.get("/jobs", params={"limit": 1}).json()["next_cursor"]
    then = history.http.get("/jobs", params={"limit": 1, "as_of": NEWEST}).json()["next_cursor"]
    for path, query in [
        ("/jobs", {"as_of": NEWEST, "cursor": now}),
        ("/jobs", {"cursor": then}),
        ("/audit/diff", {"from": 0, "cursor": then}),
        ("/audit/diff", {"from": 0, "cursor": "é"}),
    ]:
        answer = history.http.get(path, params=query)
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "cursor")


def test_a_difference_names_the_jobs_that_changed_and_in_which_fields(history: RunningService) -> None:
    page = history.http.get("/audit/diff", params={"from": END - 1, "to": CANCELLED}).json()
    assert (page["from"], page["to"], page["next_cursor"]) == (5, 9, None)
    new, ended = page["jobs"]
    assert (new["id"], new["before"], new["after"]) == (CANCELLED_JOB, None, {"version": 3, "position": 9})
    assert {"field": "status", "before": None, "after": "cancelled"} in new["changes"]
    assert all(change["before"] is None and change["after"] is not None for change in new["changes"])
    assert (ended["id"], ended["before"]) == (COMPLETED_JOB, {"version": 5, "position": 5})
    changes = {change["field"]: (change["before"], change["after"]) for change in ended["changes"]}
    assert changes["status"] == ("running", "completed")
    assert changes["worker"] == ("w1", None)
    assert changes["result.metrics"] == (None, {"accuracy": 0.61})
    assert set(changes) == {"status", "worker", "finished_at"} | {field for field in changes if "result." in field}


def test_nothing_differs_between_a_moment_and_itself(history: RunningService) -> None:
    assert history.http.get("/audit/diff", params={"from": 5, "to": 5}).json()["jobs"] == []


def test_the_second_moment_of_a_difference_is_the_present_unless_it_is_given(history: RunningService) -> None:
    page = history.http.get("/audit/diff", params={"from": CANCELLED}).json()
    assert ([job["id"] for job in page["jobs"]], page["to"]) == ([RUNNING_JOB], NEWEST)


def test_the_pages_of_a_difference_join_to_the_whole_by_their_links(history: RunningService) -> None:
    url, params, found = "/audit/diff", {"from": 0, "limit": 1}, []
    while url:
        answer = history.http.get(url, params=params)
        found += [job["id"] for job in answer.json()["jobs"]]
        url, params = answer.links.get("next", {}).get("url", "").removeprefix("/api/v1"), None  # type: ignore[assignment]
    assert found == [RUNNING_JOB, CANCELLED_JOB, COMPLETED_JOB]
    assert [job["id"] for job in history.client.diff(0, limit=2)] == found[:2]
    assert [job["id"] for job in history.client.diff(0, NEWEST)] == found


def test_moments_in_the_wrong_order_are_refused(history: RunningService) -> None:
    answer = history.http.get("/audit/diff", params={"from": 9, "to": 5})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["detail"] == "position 9 comes after `to`, 5"


def test_a_difference_needs_its_first_moment(history: RunningService) -> None:
    answer = history.http.get("/audit/diff")
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "from")
    assert answer.json()["errors"][0]["detail"] == "is missing"
