"""Whose turn it is: priorities, shares, caps, and jobs that need a GPU or would rather have one."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktrdr.jobs.events import JobId, Target
from ktrdr.jobs.queue import Candidate, Rules, candidates_for, choose, waiting_class
from ktrdr.jobs.workers import GpuWorker

shares = st.sampled_from(["", "desk=a", "desk=b", "desk=c"])
counts = st.dictionaries(shares, st.integers(0, 4))
rules = st.builds(Rules, caps=st.dictionaries(shares | st.just("*"), st.integers(0, 4)))
candidates = st.lists(
    st.builds(
        Candidate,
        job_id=st.just(JobId("")),
        priority=st.integers(-1, 1),
        submitted_position=st.integers(1, 1_000),
        share=shares,
    ),
    max_size=8,
    unique_by=lambda one: one.submitted_position,
)


def _candidate(position: int, *, share: str = "", priority: int = 0) -> Candidate:
    return Candidate(job_id=JobId(f"{position}"), priority=priority, submitted_position=position, share=share)


@given(candidates, counts, rules)
def test_none_that_may_run_comes_before_the_one_that_is_chosen(
    among: list[Candidate], running: dict[str, int], rules: Rules
) -> None:
    chosen = choose(among, running, rules)
    allowed = [one for one in among if rules.may_run(one.share, running.get(one.share, 0))]
    assert (chosen is None) == (not allowed)
    if chosen is not None:
        assert chosen in allowed
        assert chosen.priority == max(one.priority for one in allowed)
        urgent = [one for one in allowed if one.priority == chosen.priority]
        busy = running.get(chosen.share, 0)
        assert busy == min(running.get(one.share, 0) for one in urgent)
        assert not any(
            one.submitted_position < chosen.submitted_position and running.get(one.share, 0) == busy for one in urgent
        )


@given(candidates, rules, st.randoms(use_true_random=False))
def test_the_order_in_which_candidates_come_does_not_matter(
    among: list[Candidate], rules: Rules, order: Random
) -> None:
    shuffled = list(among)
    order.shuffle(shuffled)
    assert choose(shuffled, {}, rules) == choose(among, {}, rules)


@given(st.lists(shares, max_size=20), rules)
def test_however_many_wait_no_share_ever_runs_more_than_its_cap(waiting: list[str], rules: Rules) -> None:
    queue = [_candidate(position, share=share) for position, share in enumerate(waiting, start=1)]
    running: Counter[str] = Counter()
    while (chosen := choose(queue, running, rules)) is not None:
        queue.remove(chosen)
        running[chosen.share] += 1
    for share, count in running.items():
        cap = rules.cap_of(share)
        assert cap is None or count <= cap
    assert all(not rules.may_run(one.share, running[one.share]) for one in queue)


def test_shares_take_turns_so_that_many_jobs_of_one_do_not_hold_up_another() -> None:
    queue = [*(_candidate(position, share="desk=a") for position in range(1, 9)), _candidate(9, share="desk=b")]
    first, running = choose(queue, {}, Rules()), Counter({"desk=a": 1})
    second = choose(queue[1:], running, Rules())
    assert (first, second) == (queue[0], queue[8])


@pytest.mark.parametrize(
    ("caps", "share", "running", "may_run"),
    [
        ({}, "desk=a", 1_000, True),
        ({"desk=a": 2}, "desk=a", 1, True),
        ({"desk=a": 2}, "desk=a", 2, False),
        ({"desk=a": 2}, "desk=b", 9, True),
        ({"*": 1}, "desk=b", 1, False),
        ({"*": 1}, "", 1, False),
        ({"*": 1, "desk=a": 5}, "desk=a", 4, True),
        ({"desk=a": 0}, "desk=a", 0, False),
    ],
)
def test_a_cap_holds_for_its_share_and_the_star_for_every_other(
    caps: dict[str, int], share: str, running: int, may_run: bool
) -> None:
    assert Rules(caps=caps).may_run(share, running) == may_run


@pytest.mark.parametrize(
    ("fair_by", "labels", "share"),
    [
        (None, {"desk": "a"}, ""),
        ("desk", {"desk": "a", "user": "anna"}, "desk=a"),
        ("desk", {"user": "anna"}, ""),
        ("desk", {"desk": ""}, "desk="),
    ],
)
def test_the_share_of_a_job_is_the_value_of_the_label_that_is_fair(
    fair_by: str | None, labels: dict[str, str], share: str
) -> None:
    assert Rules(fair_by=fair_by).share_of(labels) == share


CLASSES = {
    waiting_class(target, require_gpu=need == "+gpu", prefer_gpu=need == "~gpu"): (target, need)
    for target in Target
    for need in ("", "~gpu", "+gpu")
}


def _given_to(kind: str, *, has_gpu: bool, gpu_workers: list[GpuWorker]) -> dict[str, str]:
    """The waiting classes of which a worker gets jobs, each with the reason of a fallback."""
    return {
        one.job_id: one.fallback
        for one in candidates_for(
            kind,
            has_gpu=has_gpu,
            first_of_each_share=lambda waits_for: [
                Candidate(job_id=JobId(waits_for), priority=0, submitted_position=1, share="")
            ],
            gpu_workers=lambda: gpu_workers,
        )
    }


@pytest.mark.parametrize("kind", ["local", "host"])
@pytest.mark.parametrize("has_gpu", [False, True])
def test_a_worker_gets_what_is_for_its_kind_or_any_and_without_a_gpu_nothing_that_needs_one(
    kind: str, has_gpu: bool
) -> None:
    expected = {
        name for name, (target, need) in CLASSES.items() if target in (kind, "auto") and (has_gpu or need != "+gpu")
    }
    assert set(_given_to(kind, has_gpu=has_gpu, gpu_workers=[])) == expected


@pytest.mark.parametrize(
    ("gpu_workers", "auto", "local"),
    [
        ([], "no worker with a GPU was alive", "no worker with a GPU was alive"),
        ([("host", 1, 0)], None, "no worker with a GPU was alive"),
        ([("host", 1, 1)], "every worker with a GPU was busy", "no worker with a GPU was alive"),
        ([("host", 2, 1)], None, "no worker with a GPU was alive"),
        ([("local", 1, 0)], None, None),
        ([("host", 1, 1), ("local", 1, 2)], "every worker with a GPU was busy", "every worker with a GPU was busy"),
    ],
)
def test_a_job_that_would_rather_have_a_gpu_is_left_to_a_worker_that_has_one_free_or_says_why_not(
    gpu_workers: list[tuple[str, int, int]], auto: str | None, local: str | None
) -> None:
    there = [GpuWorker(kind=kind, slots=slots, jobs=jobs) for kind, slots, jobs in gpu_workers]
    given = _given_to("local", has_gpu=False, gpu_workers=there)
    assert (given.get("auto~gpu"), given.get("local~gpu")) == (auto, local)
    assert given["auto"] == given["local"] == ""
    assert set(_given_to("local", has_gpu=True, gpu_workers=there).values()) == {""}
