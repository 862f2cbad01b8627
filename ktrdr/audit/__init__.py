"""Proving what the log says: every event, and everything that follows from it. Imports jobs and the store."""

from ktrdr.audit.checking.verify import Verdict, verify

__all__ = ["Verdict", "verify"]
