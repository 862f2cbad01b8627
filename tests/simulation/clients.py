"""Simulated clients: they submit, cancel at any time and more than once, repeat jobs and go on from their epochs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jobs.job_builders import SUBMITTED
from simulation.workers import undisturbed

from ktrdr.jobs import decide
from ktrdr.jobs.events import JobId, JobSubmitted, Json, Relation, Target
from ktrdr.jobs.identity import make_job_id
from ktrdr.jobs.queue import Rules
from ktrdr.jobs.refusals import JobFinishedError, StaleVersionError

if TYPE_CHECKING:
    from simulation.service import Service

_FIRST_JOB = 1_790_000_000_000


class Clients:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._chance = chance = service.world.chance
        #: Jobs that were accepted.
        self.submitted = 0
        self._planned = chance.randint(2, 4)
        self._desks = chance.random() < 0.5
        self._set_rules()
        for _ in range(self._planned):
            service.world.after(chance.uniform(0.0, 35.0), self._submit)
        if chance.random() < 0.3:
            service.world.after(chance.uniform(10.0, 75.0), self._set_rules)

    @property
    def are_done(self) -> bool:
        return not self._planned

    def _set_rules(self) -> None:
        caps = {"*": self._chance.randint(1, 2)} if self._chance.random() < 0.4 else {}
        if self._chance.random() < 0.3:
            caps["desk=a"] = 1
        rules = Rules(fair_by="desk" if self._desks else None, caps=caps)
        self._service.world.tell("operator", f"caps are {caps}")
        self._service.backend.put_rules(rules)
        self._service.checker.rules = rules

    def _submit(self, parent: JobId | None = None) -> None:
        """Submits a new job, or one that follows from another."""
        self._planned -= 1
        submitted = self._new_job() if parent is None else self._follow_up(parent)
        if submitted is None:
            self._service.end_if_done()
            return
        chance, service = self._chance, self._service
        job_id = make_job_id(_FIRST_JOB + self.submitted, bytes(10))
        self.submitted += 1
        epochs = chance.randint(1, 4) if parent is None else service.training(parent)[0]
        service.plan(job_id, epochs=epochs, checkpoint_every=chance.randint(1, 2))
        service.checker.expect(job_id, undisturbed(submitted, epochs))
        service.world.tell("client", f"submits {service.short(job_id)} for {epochs} epochs")
        self._send(job_id, submitted)
        if chance.random() < 0.1:
            service.world.after(chance.uniform(0.0, 20.0), self._send, job_id, submitted)
        if chance.random() < 0.35:
            for _ in range(chance.randint(1, 2)):
                service.world.after(chance.uniform(0.0, 50.0), self._cancel, job_id)
        if parent is None and chance.random() < 0.3:
            self._planned += 1
            service.world.after(chance.uniform(10.0, 60.0), self._submit, job_id)

    def _send(self, job_id: JobId, submitted: JobSubmitted) -> None:
        try:
            self._service.backend.change(job_id, lambda state: decide.submit(state, submitted), "client:anna")
        except StaleVersionError:
            self._service.world.tell("client", f"hears that {self._service.short(job_id)} is there already")

    def _cancel(self, job_id: JobId) -> None:
        self._service.world.tell("client", f"cancels {self._service.short(job_id)}")
        try:
            self._service.backend.change(
                job_id, lambda state: decide.request_cancellation(state, by="client:anna", reason=""), "client:anna"
            )
        except JobFinishedError as refusal:
            self._service.world.tell("client", f"hears: {refusal}")

    def _new_job(self) -> JobSubmitted:
        chance = self._chance
        desk = chance.choice(["a", "b"])
        return replace(
            SUBMITTED,
            seed=self.submitted + 1,
            target=chance.choice([*Target]),
            require_gpu=(require_gpu := chance.random() < 0.1),
            prefer_gpu=not require_gpu and chance.random() < 0.2,
            priority=chance.choice([0, 0, 0, 5]),
            labels={"desk": desk},
            share=f"desk={desk}" if self._desks else "",
            max_attempts=chance.randint(1, 3),
        )

    def _follow_up(self, parent: JobId) -> JobSubmitted | None:
        """A job that repeats another from its newest checkpoint, or goes on from one with another seed."""
        book = self._service.checker.books[parent]
        checkpoints = book.state.checkpoints
        start: Json | None = self._chance.choice(checkpoints) if checkpoints else None
        if self._chance.random() < 0.5:
            return replace(book.submitted, parent=parent, relation=Relation.RETRY, starts_from=start)
        if start is None:
            return None
        seed = self.submitted + 1
        return replace(
            book.submitted, parent=parent, relation=Relation.FORK, starts_from=None, forked_from=start, seed=seed
        )
