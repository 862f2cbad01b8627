"""The protocol of host workers over real HTTP: what is repeated changes nothing, what is too late is refused."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from api.protocol_steps import Lease, Worker, problem, unique
from jobs.job_builders import EPOCH, STARTED
from running_service import RunningService

from ktrdr.jobs.events import CheckpointSaved


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker by hand, at a service that has no other."""
    service = RunningService(tmp_path_factory.mktemp("protocol") / "home")
    try:
        service.start("serve")
        service.import_samples()
        yield Worker(service, "by-hand")
    finally:
        service.close()


@pytest.fixture
def own_worker(own_service: RunningService) -> Worker:
    """The same, at a service that a test may stop. Leases last until `expire`."""
    own_service.start("serve")
    own_service.import_samples()
    return Worker(own_service, "by-hand")


def expire(lease: Lease) -> None:
    """Lets a scheduler for which leases are short take the job back, and stops it before it does more."""
    lease.service.start("scheduler", KTRDR_LEASE_SECONDS="0.5")
    lease.service.wait_for(lease.job_id, "queued")
    lease.service.stop("scheduler")


def test_a_claim_that_is_repeated_gets_the_same_lease(worker: Worker) -> None:
    job_ids = [worker.submit() for _ in range(2)]
    claim_id = uuid.uuid4().hex
    first, again = worker.claim(claim_id), worker.claim(claim_id)
    assert first.json() == again.json()
    assert first.json()["job_id"] == job_ids[0]
    assert worker.claim().json()["job_id"] == job_ids[1]  # another claim gets another job
    assert worker.claim().status_code == 204


def test_a_claim_that_is_repeated_after_a_restart_of_the_api_gets_the_same_lease(own_worker: Worker) -> None:
    job_id = own_worker.submit()
    first = own_worker.claim("mine").json()
    own_worker.service.kill("serve")
    own_worker.service.start("serve")
    assert own_worker.claim("mine").json() == first
    assert first["job_id"] == job_id


def test_two_requests_of_one_claim_that_wait_together_get_one_job(worker: Worker) -> None:
    claim_id = uuid.uuid4().hex

    with ThreadPoolExecutor(2) as two:
        answers = [two.submit(worker.claim, claim_id, wait=30) for _ in range(2)]
        job_id = worker.submit()
        assert [answer.result().json()["job_id"] for answer in answers] == [job_id, job_id]


def test_a_claim_waits_for_a_job(worker: Worker) -> None:
    with ThreadPoolExecutor(1) as waiting:
        answer = waiting.submit(worker.claim, wait=30)
        job_id = worker.submit()
        assert answer.result().json()["job_id"] == job_id


def test_a_worker_that_drains_gets_nothing_new(worker: Worker) -> None:
    beat = {"host": "here", "pid": 1, "version": "0", "slots": 1, "capabilities": {}}
    worker.service.http.put("/workers/draining", json=beat | {"state": "draining"})
    draining = Worker(worker.service, "draining")
    job_id = draining.submit()
    assert draining.claim(wait=30).status_code == 204  # at once
    assert worker.claim().json()["job_id"] == job_id


def test_events_are_recorded_once_however_often_they_are_sent(worker: Worker) -> None:
    lease = worker.lease()
    assert lease.report(0, STARTED, EPOCH).status_code == 200
    assert lease.report(0, STARTED, EPOCH).status_code == 200
    assert lease.report(1, EPOCH, replace(EPOCH, epoch=2)).status_code == 200
    assert lease.types()[2:] == ["StageStarted", "EpochFinished", "EpochFinished"]
    assert problem(lease.report(7, EPOCH)) == (409, "missing-report")


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        ('{"type": "JobCompleted", "data": {}}', "events[0].type"),
        ('{"type": "EpochFinished", "data": {"epoch": "many"}}', "events[0].data.epoch"),
        ('{"type": "EpochFinished", "data": {"epoch": 1e400}}', "events[0].data"),
    ],
)
def test_an_event_that_no_worker_can_mean_is_refused_with_its_place(worker: Worker, event: str, fault: str) -> None:
    body = f'{{"first": 0, "events": [{event}]}}'
    answer = worker.lease().send("POST", "/events", content=body, headers={"Content-Type": "application/json"})
    assert problem(answer) == (422, "invalid-request")
    assert fault in [error["path"] for error in answer.json()["errors"]]


def test_a_checkpoint_is_recorded_only_if_its_file_is_here(worker: Worker) -> None:
    lease, data = worker.lease(), unique()
    digest = lease.upload(data)
    lease.report(0, STARTED, EPOCH)
    absent = CheckpointSaved(epoch=1, digest="0" * 64, bytes=32)
    assert problem(lease.report(2, absent)) == (409, "missing-upload")
    assert problem(lease.report(2, replace(absent, digest="../../etc/passwd"))) == (422, "invalid-request")
    assert problem(lease.report(2, replace(absent, digest=digest, bytes=31))) == (422, "invalid-request")
    saved = replace(absent, digest=digest)
    assert lease.report(2, saved).status_code == 200
    assert lease.report(2, saved).status_code == 200
    assert lease.types().count("CheckpointSaved") == 1
    assert lease.send("GET", f"/checkpoints/{digest}").content == data
    assert lease.send("GET", f"/checkpoints/{digest}", headers={"Range": "bytes=30-"}).content == data[30:]
    assert problem(lease.send("GET", f"/checkpoints/{'0' * 64}")) == (404, "not-found")
    # The next attempt hears of it.
    lease.send("POST", "/release", json={})
    assert worker.claim().json()["checkpoints"] == [{"epoch": 1, "digest": digest}]


def test_a_lease_that_was_given_back_can_do_nothing_more(worker: Worker) -> None:
    lease = worker.lease()
    assert lease.send("POST", "/release", json={"message": "stopping"}).json()["status"] == "queued"
    digest = "0" * 64
    for method, path, body in [
        ("POST", "/release", {}),
        ("POST", "/renew", None),
        ("POST", "/regain", {"worker": lease.worker}),
        ("GET", "/cancellation", None),
        ("GET", f"/uploads/{digest}", None),
        ("GET", f"/checkpoints/{digest}", None),
        ("POST", "/events", {"first": 0, "events": []}),
    ]:
        assert problem(lease.send(method, path, json=body)) == (409, "lease-lost"), path
    assert problem(lease.append(b"", digest, 0, 1)) == (409, "lease-lost")
    assert problem(lease.complete({"a": digest}, digest)) == (409, "lease-lost")
    assert worker.claim().json()["lease_epoch"] == 2


def test_a_worker_that_comes_back_goes_on_where_it_was(own_worker: Worker) -> None:
    lease = own_worker.lease()
    lease.report(0, STARTED, EPOCH)
    expire(lease)
    assert problem(lease.report(2, replace(EPOCH, epoch=2))) == (409, "lease-lost")
    stranger = replace(lease, worker="stranger")
    regained = lease.regain()
    assert regained.json()["lease_epoch"] == 2
    assert lease.regain().json() == regained.json()  # asked again, because the answer was lost
    assert problem(stranger.regain()) == (409, "lease-lost")
    again = replace(lease, epoch=2)
    # What was recorded under the old lease is left out, what was not is recorded.
    assert again.report(0, STARTED, EPOCH, replace(EPOCH, epoch=2)).status_code == 200
    assert again.types() == [
        "JobSubmitted", "JobClaimed", "StageStarted", "EpochFinished", "LeaseExpired", "JobRequeued", "JobClaimed",
        "EpochFinished",
    ]  # fmt: skip
    assert own_worker.service.client.job(lease.job_id)["attempt"] == 1


def test_a_job_that_another_worker_has_is_not_given_back(own_worker: Worker) -> None:
    lease = own_worker.lease()
    expire(lease)
    assert Worker(own_worker.service, "another").claim().json()["job_id"] == lease.job_id
    assert problem(lease.regain()) == (409, "lease-lost")


def test_a_cancellation_is_heard_of_at_once(worker: Worker) -> None:
    lease = worker.lease()
    assert lease.send("GET", "/cancellation").status_code == 204
    with ThreadPoolExecutor(1) as waiting:
        answer = waiting.submit(lease.send, "GET", "/cancellation", params={"wait": 30})
        worker.service.client.cancel(lease.job_id)
        assert answer.result().json()["age_seconds"] >= 0
    assert lease.send("POST", "/stopped", json={"outcome": "stopped"}).json()["status"] == "cancelled"
    # Whoever did not hear the answer asks again, and hears the truth.
    assert lease.send("POST", "/stopped", json={"outcome": "stopped"}).json()["status"] == "cancelled"
    assert lease.types()[-2:] == ["CancellationRequested", "JobCancelled"]
