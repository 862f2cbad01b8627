"""Names of jobs: UUIDs of version 7 (RFC 9562), whose order is the order of submission. Standard library only."""

from __future__ import annotations

import re

from ktrdr.jobs.events import JobId

_JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def make_job_id(milliseconds: int, randomness: bytes) -> JobId:
    """The id of a job submitted so many milliseconds after 1970, made unique by ten random bytes."""
    number = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(randomness[:10], "big")
    number = number & ~(0xF << 76) | 0x7 << 76  # version
    number = number & ~(0x3 << 62) | 0x2 << 62  # variant
    digits = f"{number:032x}"
    return JobId(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")


def is_job_id(text: str) -> bool:
    return _JOB_ID.fullmatch(text) is not None
