"""`ktrdr.client`: what is sent again, and streams that lose and repeat nothing."""

from __future__ import annotations

import socket
import threading

import pytest
from running_service import RunningService

from ktrdr import sample
from ktrdr.cli.parts import free_port
from ktrdr.client import ApiError, Client, ServiceUnreachableError, connect

SHORT = sample.strategies()["trend_follower"].replace("epochs: 40", "epochs: 2")
ENDLESS = SHORT.replace("epochs: 2", "epochs: 100000").replace("  early_stopping", "  # early_stopping")


def test_a_refused_request_says_everything(service: RunningService) -> None:
    with pytest.raises(ApiError) as refused:
        service.client.submit("trend_follower", symbols=["TSLA"], priority=5)
    assert refused.value.status == 422
    assert refused.value.title == "The request is not valid"
    assert [fault["pointer"] for fault in refused.value.errors] == ["/symbols/0"]


def test_something_else_at_the_address_is_no_service() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 404 Nothing\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

        thread = threading.Thread(target=answer)
        thread.start()
        with connect(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            with pytest.raises(ApiError) as refused:
                client.datasets()
            assert refused.value.fix == "is this the address of a ktrdr service?"
            with pytest.raises(ServiceUnreachableError, match="no ktrdr service"):
                client.ready()
        thread.join()


def test_lists_are_read_page_by_page(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ktrdr.client.operations.jobs.PAGE_SIZE", 2)
    labels = {"from": "pages"}
    made = [service.client.submit(SHORT, target="host", labels=labels)["id"] for _ in range(5)]
    for job_id in made:
        service.client.cancel(job_id)
    assert [job["id"] for job in service.client.jobs(label=["from=pages"])] == made[::-1]
    assert [job["id"] for job in service.client.jobs(label=["from=pages"], limit=3)] == made[:1:-1]
    assert [event["type"] for event in service.client.events(made[0])] == [
        "JobSubmitted",
        "CancellationRequested",
        "JobCancelled",
    ]


def test_following_survives_the_service_without_gap_or_repetition(own_service: RunningService) -> None:
    own_service.start("serve", "worker")
    own_service.import_samples()
    job_id = own_service.client.submit(ENDLESS)["id"]
    interruptions: list[str] = []
    followed = []
    mark, interrupted, is_cancelled = 30, 0, False
    with Client(own_service.url) as follower:
        events = follower.events(job_id, follow=True, on_interruption=lambda: interruptions.append("away"))
        for event in events:
            followed.append(event)
            if len(followed) < mark or len(interruptions) < interrupted:
                continue  # of what was on its way before, there may be more
            mark = len(followed) + 10
            if interrupted < 2:
                interrupted += 1
                (own_service.kill if interrupted == 1 else own_service.stop)("serve")
                own_service.start("serve")
            elif not is_cancelled:
                is_cancelled = True
                own_service.client.cancel(job_id)
    assert interruptions == ["away", "away"]
    assert followed[-1]["type"] == "JobCancelled"
    assert followed == list(own_service.client.events(job_id))


def test_following_resumes_where_one_has_been(service: RunningService) -> None:
    job_id = service.client.submit(SHORT, symbols=["IBM"])["id"]
    events = list(service.client.events(job_id, follow=True))
    middle = events[5]["position"]
    assert list(service.client.events(job_id, follow=True, after=middle)) == events[6:]
    assert list(service.client.events(job_id, after=middle)) == events[6:]
    assert list(service.client.events(job_id, follow=True, after=events[-1]["position"])) == []


def test_patience_ends(service: RunningService) -> None:
    with connect(f"http://127.0.0.1:{free_port('127.0.0.1')}") as client, pytest.raises(ServiceUnreachableError):
        list(client.events("01a20b40-0000-7000-8000-000000000000", follow=True, patience_seconds=0.2))
