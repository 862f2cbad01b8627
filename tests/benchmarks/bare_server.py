"""What submissions are compared with: Starlette, and one raw sqlite3 insert and commit per request, equally durable.

Run as `python bare_server.py DATABASE PORT`.
"""

from __future__ import annotations

import json
import sys
import uuid

import pysqlite3
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def create_app(database: str) -> Starlette:
    connection = pysqlite3.connect(database, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE jobs (id TEXT PRIMARY KEY, body TEXT NOT NULL)")

    async def submit(request: Request) -> Response:
        body = await request.body()
        json.loads(body)
        job_id = str(uuid.uuid4())
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO jobs VALUES (?, ?)", (job_id, body.decode()))
        connection.execute("COMMIT")
        return JSONResponse({"id": job_id, "status": "queued"}, 202)

    async def healthz(_request: Request) -> Response:
        return JSONResponse({})

    return Starlette(routes=[Route("/api/v1/jobs", submit, methods=["POST"]), Route("/healthz", healthz)])


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[1]), port=int(sys.argv[2]), log_level="warning", access_log=False)
