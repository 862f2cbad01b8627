"""How every part of the service logs: one line per message, plain for a terminal, JSON for everything else.

Imports the standard library and the trace context. What a message is about (job, attempt, request) is bound once with
`bound`, and stands in every line that is logged inside, whichever module logs it; a single message takes more with
`extra`. Secrets never reach a line: whatever looks like one is blacked out after formatting.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from ktrdr.tracing import current_trace

PLAIN, JSON = "plain", "json"
#: What each line has; then come the fields that are bound or given, and an exception if there is one.
ALWAYS = ("time", "level", "part", "logger", "message")
#: Our own packages log from the level that is set; what others say below a warning is of no use to an operator.
_OURS = ("ktrdr", "host_worker")
#: Fields that a line in a terminal leaves out: they help a machine to join lines, and a person hardly.
_FOR_MACHINES = frozenset({"lease_epoch", "worker", "trace_id", "logger"})
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}
_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"'\\,]+"), r"\1 ***"),
    (
        re.compile(r"(?i)(authorization|cookie)(['\"\\]*\s*[:=]\s*['\"\\]*)(?!(?:bearer|basic) \*)[^\s\"'\\,]+"),
        r"\1\2***",
    ),
    (re.compile(r"(\w://[^\s:/@\"']*):[^\s@\"']+@"), r"\1:***@"),
)

_bound: ContextVar[Mapping[str, Any] | None] = ContextVar("log_fields", default=None)


def bind(fields: Mapping[str, Any]) -> None:
    """Puts fields into every line that this coroutine or thread logs from now on, in place of those bound before.

    The mapping itself is kept: what changes in it later changes the lines too.
    """
    _bound.set(fields)


@contextmanager
def bound(fields: Mapping[str, Any]) -> Iterator[None]:
    """As `bind`, for as long as the block lasts. A thread that it starts takes them along with `copy_context`."""
    token = _bound.set(fields)
    try:
        yield
    finally:
        _bound.reset(token)


def configure_logs(
    part: str, *, form: str | None = None, level: str = "info", secrets: tuple[str, ...] = (), to: TextIO | None = None
) -> None:
    """Makes this process log as `part` to `to` (stderr): from `level` on, and in `form` plain or json.

    Without a form it is plain if the stream is a terminal. `secrets` are blacked out wherever they turn up. What ends
    the process or one of its threads unforeseen, and what Python warns of, is logged in the same way.
    """
    stream = to or sys.stderr
    handler = logging.StreamHandler(stream)
    formatter = PlainLines if (form or (PLAIN if stream.isatty() else JSON)) == PLAIN else JsonLines
    handler.setFormatter(formatter(part, secrets))
    wanted = logging.getLevelNamesMapping()[level.upper()]
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(wanted, logging.WARNING))
    for name in _OURS:
        logging.getLogger(name).setLevel(wanted)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_end_of_process
    threading.excepthook = _log_end_of_thread


def configure_logs_of_child(part: str, environment: Mapping[str, str]) -> None:
    """The same for a process that was started by one of ours, whose settings are known to be right."""
    configure_logs(
        part,
        form=environment.get("KTRDR_LOG_FORMAT", "").strip().lower() or None,
        level=environment.get("KTRDR_LOG_LEVEL", "").strip() or "info",
    )


class _Lines(logging.Formatter):
    """What both forms share: the fields of a line, and what must not be in it."""

    def __init__(self, part: str, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._part = part
        self._secrets = tuple(secret for secret in secrets if secret)

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """What is bound, then what this message brings along; `facts` of it are what a step or an epoch found."""
        fields = dict(_bound.get() or {})
        trace = current_trace.get()
        if trace is not None:
            fields.setdefault("trace_id", trace.trace_id)
        fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        return {name: value for name, value in fields.items() if value is not None}

    def exception(self, record: logging.LogRecord) -> str:
        """The traceback and the stack of a record as text; empty without them."""
        told = [self.formatException(record.exc_info)] if record.exc_info and record.exc_info[0] else []
        return "\n".join([*told, *([record.stack_info] if record.stack_info else [])])

    def without_secrets(self, line: str) -> str:
        for secret in self._secrets:
            line = line.replace(secret, "***")
        for pattern, instead in _SECRETS:
            line = pattern.sub(instead, line)
        return line


class JsonLines(_Lines):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _moment(record).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "part": self._part,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line = self.fields(record) | line
        if exception := self.exception(record):
            line["exception"] = exception
        ordered = {name: line.pop(name) for name in ALWAYS} | line
        return self.without_secrets(json.dumps(ordered, default=str, ensure_ascii=False))


class PlainLines(_Lines):
    """Time, level, part and message, then the fields as `name=value`; a traceback on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        moment = _moment(record).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        fields = self.fields(record)
        fields = {**fields.pop("facts", {}), **fields}
        said = [f"{name}={_short(value)}" for name, value in fields.items() if name not in _FOR_MACHINES]
        head = f"{moment} {record.levelname.lower():<8}{self._part:<12}{record.getMessage()}"
        line = "  ".join([head, *([" ".join(said)] if said else [])])
        exception = self.exception(record)
        return self.without_secrets(f"{line}\n{exception}" if exception else line)


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r"[\s=\"]", text) else text


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _log_end_of_process(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("ktrdr").critical("this process ends by an error", exc_info=(kind, error, trace))


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is None or issubclass(ended.exc_type, SystemExit):
        return
    name = ended.thread.name if ended.thread else "unknown"
    about = (ended.exc_type, ended.exc_value, ended.exc_traceback)
    logging.getLogger("ktrdr").error("thread %s ended by an error", name, exc_info=about)
