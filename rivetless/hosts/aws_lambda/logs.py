"""Logs as JSON, one line a record, with what CloudWatch's Insights can be asked for.

Bodies, arguments, headers and tokens are in no record of ours: events are described by their kind
and their keys.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, cast

from rivetless.frozen import frozen

__all__ = ["JsonFormatter", "Trace", "configure", "trace_of", "tracing"]

TRACE_VARIABLE: Final = "_X_AMZN_TRACE_ID"

_STANDARD: Final = frozenset(
    logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "taskName"}
)
_OFTEN_EMPTY: Final = frozenset({"aws_request_id", "tenant_id"})
"""What Lambda's runtime adds to records, whether it knows it or not."""

_LONGEST: Final = 100_000
"""Characters of one text: CloudWatch takes 256 KB a line."""

_RUNTIME: Final = "awslambdaric"


@frozen
class Trace:
    """What all records of one invocation have in common.

    Attributes:
        request_id: Lambda's.
        trace_id: X-Ray's, from the runtime or from the event.
    """

    request_id: str
    trace_id: str | None


_current: ContextVar[Trace | None] = ContextVar("rivetless_trace", default=None)


@contextmanager
def tracing(trace: Trace) -> Generator[None]:
    """Give the ids of an invocation to all records made inside, by tasks begun inside too."""
    token = _current.set(trace)
    try:
        yield
    finally:
        _current.reset(token)


def trace_of(event: object) -> str | None:
    """Return the trace id that Lambda's runtime knows; else the one that an event carries."""
    return os.environ.get(TRACE_VARIABLE) or _from_headers(event) or _from_records(event)


def _from_headers(event: object) -> str | None:
    headers = _get(event, "headers")
    if not isinstance(headers, Mapping):
        return None
    for name, value in cast("Mapping[object, object]", headers).items():
        if isinstance(name, str) and name.lower() == "x-amzn-trace-id" and isinstance(value, str):
            return value
    return None


def _from_records(event: object) -> str | None:
    records = _get(event, "Records")
    first = cast("list[object]", records)[0] if isinstance(records, list) and records else None
    trace = _get(_get(first, "attributes"), "AWSTraceHeader")
    return trace if isinstance(trace, str) else None


def _get(value: object, name: str) -> object:
    return cast("Mapping[str, object]", value).get(name) if isinstance(value, Mapping) else None


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object in one line.

    Args:
        end: what follows each; handlers of the standard library end lines by themselves.
    """

    def __init__(self, end: str = "") -> None:
        super().__init__()
        self._end = end

    def format(self, record: logging.LogRecord) -> str:
        made = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "level": record.levelname,
            "message": _short(record.getMessage()),
            "time": made.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "logger": record.name,
        }
        trace = _current.get()
        if trace is not None:
            line["aws_request_id"] = trace.request_id
            if trace.trace_id is not None:
                line["trace_id"] = trace.trace_id
        for name, value in record.__dict__.items():
            if name in _STANDARD or name.startswith("_") or (name in _OFTEN_EMPTY and not value):
                continue
            # What a user adds must not pass for what we say.
            line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = _short(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = _short(record.stack_info)
        text = json.dumps(line, default=str, ensure_ascii=False, separators=(",", ":"))
        return text + self._end


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def configure(level: str) -> None:
    """Have records written as JSON, at ``level`` and above those of ours.

    Lambda's runtime has a handler at the root already, which gets our form; without one, where
    something else runs the function, we add our own. Whoever has put another handler there has
    said how logs shall look.

    Args:
        level: a name of the standard library's levels.
    """
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler(sys.stdout))
        root.handlers[0].setFormatter(JsonFormatter())
    for handler in root.handlers:
        if type(handler).__module__.partition(".")[0] == _RUNTIME:
            handler.setFormatter(JsonFormatter(end="\n"))
    number = logging.getLevelNamesMapping().get(level.upper())
    ours = logging.getLogger("rivetless")
    ours.setLevel(logging.INFO if number is None else number)
    if number is None:
        ours.warning("RIVETLESS_LOG_LEVEL is no level: %r; INFO is used", level[:32])
    # Others' libraries at DEBUG show requests with their tokens.
    root.setLevel(max(ours.level, logging.INFO))
    # Its one line a request shows the path, in which a token may be.
    logging.getLogger("mangum.http").setLevel(logging.WARNING)
