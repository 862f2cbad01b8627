"""The pages beside the jobs: comparison, new job, workers, schedules, audit; and the icon. Imports their modules."""

from __future__ import annotations

from starlette.routing import Route

from ktrdr.api.dashboard import assets, audit, compare, new, schedules, workers

FURTHER_PAGES = (
    Route("/favicon.ico", assets.favicon, methods=["GET"]),
    Route("/compare", compare.show_comparison, methods=["GET"]),
    Route("/compare/counterfactual", compare.try_cause, methods=["POST"]),
    Route("/new", new.show_new, methods=["GET"]),
    Route("/new", new.submit_new, methods=["POST"]),
    Route("/new/check", new.check_new, methods=["POST"]),
    Route("/new/prices", new.import_prices, methods=["POST"]),
    Route("/workers", workers.show_workers, methods=["GET"]),
    Route("/schedules", schedules.show_schedules, methods=["GET"]),
    Route("/schedules", schedules.make_schedule, methods=["POST"]),
    Route("/schedules/preview", schedules.look_at_timing, methods=["GET"]),
    Route("/schedules/{name}", schedules.show_schedule, methods=["GET"]),
    Route("/schedules/{name}/pause", schedules.pause_schedule, methods=["POST"]),
    Route("/schedules/{name}/resume", schedules.resume_schedule, methods=["POST"]),
    Route("/schedules/{name}/fire", schedules.fire_now, methods=["POST"]),
    Route("/schedules/{name}/delete", schedules.delete_schedule, methods=["POST"]),
    Route("/audit", audit.show_audit, methods=["GET"]),
    Route("/audit/verification", audit.show_verification, methods=["GET"]),
    Route("/audit/sign", audit.sign_now, methods=["POST"]),
    Route("/audit/verify", audit.verify_now, methods=["POST"]),
)
