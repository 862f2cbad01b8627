"""Firing the schedules: one look finds everything that is due and submits it. Imports jobs, the store and submissions.

When to look is another matter (`ktrdr.scheduler.alarm`): a look that comes late, twice or from two processes at once
finds in the log what was done already.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from ktrdr.clock import Clock, system_clock, to_instant
from ktrdr.jobs.events import Target
from ktrdr.jobs.refusals import StaleVersionError
from ktrdr.jobs.service.schedule_decisions import Fire, Skip, next_action, next_due
from ktrdr.jobs.service.schedules import Schedule
from ktrdr.store import schedules as operations
from ktrdr.store.database import NotWrittenError
from ktrdr.store.log import Log, Transaction
from ktrdr.store.reader import Reader
from ktrdr.submission.firing import submission_of
from ktrdr.submission.strategies import StrategyCache
from ktrdr.training.faults import InvalidInputError

logger = logging.getLogger(__name__)


class Firing:
    """Belongs to one thread at a time."""

    def __init__(
        self,
        log: Log,
        reader: Reader,
        *,
        default_target: Target,
        clock: Clock = system_clock,
        stopping: threading.Event | None = None,
    ) -> None:
        self._log = log
        self._reader = reader
        self._default_target = default_target
        self._clock = clock
        self._stopping = stopping or threading.Event()
        self._strategies = StrategyCache(largest=16)
        #: Schedules, with their versions, that broke: said once.
        self._broken: set[tuple[str, int]] = set()

    def __call__(self) -> datetime | None:
        """Does what is due and gives the moment that is due next; None if there is none. Raises nothing."""
        try:
            waiting = self._reader.subjects(Schedule)
            # One action of each at a time, so that one that has much to make up for holds up no other.
            while waiting and not self._stopping.is_set():
                waiting = [after for schedule in waiting if (after := self._guarded(self._act, schedule)) is not None]
            coming = [self._guarded(self._coming, schedule) for schedule in self._reader.subjects(Schedule)]
            return min((moment for moment in coming if moment is not None), default=None)
        except NotWrittenError as error:
            logger.warning("%s; looking again", error)
        except Exception:
            logger.exception("looking for schedules that are due failed; looking again")
        return None

    def _act(self, schedule: Schedule) -> Schedule | None:
        """Does the oldest thing that is due; None if there is none."""
        action = next_action(schedule, to_instant(self._clock()))
        if action is None:
            return None
        with contextlib.suppress(StaleVersionError):  # somebody was faster, or changed it
            self._log.write(self._operation(schedule, action))
        return self._reader.subject(Schedule, schedule.name)

    def _operation(self, schedule: Schedule, action: Fire | Skip) -> Callable[[Transaction], Any]:
        if isinstance(action, Skip):
            said = (schedule.name, action.moments.count, action.detail)
            logger.warning("schedule %s: moments that passed without a job: %d: %s", *said)
            return partial(operations.skip, seen=schedule, action=action)
        try:
            submitted = submission_of(
                schedule,
                to_instant(action.due_at),
                default_target=self._default_target,
                reader=self._reader,
                cache=self._strategies,
            )
        except InvalidInputError as error:
            logger.warning("schedule %s cannot submit its job: %s", schedule.name, error)
            return partial(operations.refuse, seen=schedule, action=action, detail=str(error))
        return partial(operations.fire, seen=schedule, action=action, submitted=submitted)

    def _coming(self, schedule: Schedule) -> datetime | None:
        return next_due(schedule, to_instant(self._clock()))

    def _guarded(self, do: Callable[[Schedule], Any], schedule: Schedule) -> Any:
        """What `do` gives; None, once it is logged, where a schedule breaks. Raises NotWrittenError."""
        try:
            return do(schedule)
        except NotWrittenError:
            raise
        except Exception:
            if (schedule.id, schedule.version) not in self._broken:
                self._broken.add((schedule.id, schedule.version))
                logger.exception("schedule %s cannot be fired; it is tried again at each look", schedule.name)
            return None
