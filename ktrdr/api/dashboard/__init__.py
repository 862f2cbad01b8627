"""The dashboard: pages for people, made on the server and kept fresh by small scripts. Imports starlette.

Every page works without a script, by loading it again; forms go to addresses of the dashboard and lead back to a page.
What a page shows comes from the same functions as what the API gives.
"""

from __future__ import annotations

from starlette.routing import Route

from ktrdr.api.dashboard.assets import static
from ktrdr.api.dashboard.further_pages import FURTHER_PAGES
from ktrdr.api.dashboard.job_actions import cancel_job, fork_job, retry_job
from ktrdr.api.dashboard.job_page import job_moments, show_job
from ktrdr.api.dashboard.jobs_page import begin, show_jobs
from ktrdr.api.dashboard.report_page import show_report

#: Every page; `ktrdr.api.app` mounts them beside the API.
PAGES = (
    Route("/static/{version}/{path:path}", static, methods=["GET"]),
    Route("/", show_jobs, methods=["GET"]),
    Route("/begin", begin, methods=["POST"]),
    Route("/jobs/{job_id}", show_job, methods=["GET"]),
    Route("/jobs/{job_id}/moments", job_moments, methods=["GET"]),
    Route("/jobs/{job_id}/report", show_report, methods=["GET"]),
    Route("/jobs/{job_id}/cancel", cancel_job, methods=["POST"]),
    Route("/jobs/{job_id}/retry", retry_job, methods=["POST"]),
    Route("/jobs/{job_id}/fork", fork_job, methods=["POST"]),
    *FURTHER_PAGES,
)
