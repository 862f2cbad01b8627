"""What both colours of client can do, as one list. Imports the operations.

Each line is a method of `Client`, which gives its result, and of `AsyncClient`, where it is awaited or iterated over
with `async for`. What it takes and means stands with the function that it is made from.
"""

from __future__ import annotations

from ktrdr.client.frames import jobs_frame as frame_of_jobs
from ktrdr.client.methods import iterating, operation, starting
from ktrdr.client.operations import audit as on_audit
from ktrdr.client.operations import jobs as on_jobs
from ktrdr.client.operations import models as on_models
from ktrdr.client.operations import schedules as on_schedules
from ktrdr.client.operations import service as on_service


class ServiceMethods:
    """The operations of a service."""

    train = starting(on_jobs.submit)
    submit = operation(on_jobs.submit)
    job = operation(on_jobs.job)
    jobs = iterating(on_jobs.jobs)
    jobs_frame = operation(frame_of_jobs)
    events = iterating(on_jobs.events)
    all_events = iterating(on_jobs.all_events)
    cancel = operation(on_jobs.cancel)
    retry = operation(on_jobs.retry)
    fork = operation(on_jobs.fork)
    counterfactual = operation(on_jobs.counterfactual)
    why_differ = operation(on_jobs.why_differ)
    checkpoints = operation(on_jobs.checkpoints)

    model = operation(on_models.model)
    bundle = operation(on_models.bundle)
    report_page = operation(on_models.report_page)
    provenance = operation(on_models.provenance)
    predict = operation(on_models.predict)
    explain = operation(on_models.explain)
    report = operation(on_models.report)

    validate = operation(on_service.validate)
    strategies = operation(on_service.strategies)
    strategy = operation(on_service.strategy)
    put_strategy = operation(on_service.put_strategy)
    datasets = operation(on_service.datasets)
    import_prices = operation(on_service.import_prices)
    import_series = operation(on_service.import_series)
    workers = operation(on_service.workers)
    settings = operation(on_service.settings)
    change_settings = operation(on_service.change_settings)
    ready = operation(on_service.ready)

    schedules = operation(on_schedules.schedules)
    schedule = operation(on_schedules.schedule)
    create_schedule = operation(on_schedules.create_schedule)
    change_schedule = operation(on_schedules.change_schedule)
    pause_schedule = operation(on_schedules.pause_schedule)
    resume_schedule = operation(on_schedules.resume_schedule)
    fire_schedule = operation(on_schedules.fire_schedule)
    delete_schedule = operation(on_schedules.delete_schedule)
    firings = iterating(on_schedules.firings)
    preview_schedule = operation(on_schedules.preview_schedule)

    diff = iterating(on_audit.diff)
    actions = operation(on_audit.actions)
    sign = operation(on_audit.sign)
    log_keys = operation(on_audit.log_keys)
    job_proof = operation(on_audit.job_proof)
    consistency = operation(on_audit.consistency)
