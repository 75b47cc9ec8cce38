"""Logs of a service: one line per record of the standard library's `logging`, as JSON or text, without secrets."""

import json
import logging
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

from signal_gateway.web.secrets import masked

__all__ = ["EXTRA_KEYS", "LogFormat", "LogLevel", "log_formatter", "logs_written"]

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]

EXTRA_KEYS: Final = (
    "request_id",
    "correlation_id",
    "fingerprint",
    "reason",
    "signal",
    "target",
    "sender",
    "peer",
    "sender_request_id",
    "traceparent",
    "method",
    "path",
    "status",
    "duration_ms",
)
"""Keys that a call may pass by `extra={...}`; they appear in the line beside the message. Other keys are left out."""

_Entry = MutableMapping[str, Any]

_ENCODER: Final = json.JSONEncoder()  # made once: `json.dumps` with an option makes one for each line


@contextmanager
def logs_written(stream: TextIO, *, level: LogLevel, format: LogFormat) -> Iterator[None]:
    """Write the logs of the process to a stream, including Python's warnings; restore the logging set-up at the end.

    Use it once per process, for its service. Other handlers, such as those of pytest's caplog, stay.

    Args:
        stream: The destination.
        level: The minimum level. For libraries, which log every call at info, the minimum is at least `warning`.
        format: The format of the lines.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log_formatter(format, colors=stream.isatty()))
    root = logging.getLogger()
    least = logging.getLevelNamesMapping()[level.upper()]
    with ExitStack() as stack:
        stack.enter_context(_at_level(root, max(least, logging.WARNING)))
        stack.enter_context(_at_level(logging.getLogger("signal_gateway"), least))
        logging.captureWarnings(True)
        stack.callback(logging.captureWarnings, False)
        root.addHandler(handler)
        stack.callback(root.removeHandler, handler)
        yield


def log_formatter(format: LogFormat, *, colors: bool = False) -> logging.Formatter:
    """Return a formatter for log records.

    `json`: one object per line, with timestamp (RFC 3339, UTC), level, logger, event, the `EXTRA_KEYS` of the record,
    and exception. `console`: one line of text; the lines of an exception follow.

    Args:
        format: `json` or `console`.
        colors: Whether the console shows colors.
    """
    if format == "json":
        return _JsonLines()
    from structlog.dev import ConsoleRenderer, plain_traceback
    from structlog.stdlib import ProcessorFormatter

    console = ConsoleRenderer(colors=colors, sort_keys=False, exception_formatter=plain_traceback)
    return ProcessorFormatter(processors=[_arrange, _without_secrets, _printable, console])


@contextmanager
def _at_level(logger: logging.Logger, level: int) -> Iterator[None]:
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


class _JsonLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        entry = _entry(record, record.getMessage())
        if record.stack_info:
            entry["stack"] = record.stack_info
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _ENCODER.encode(_without_secrets(None, "", entry))


def _entry(record: logging.LogRecord, message: str) -> _Entry:
    """Return the keys of a line in their order, without stack and exception."""
    at = datetime.fromtimestamp(record.created, UTC)
    entry: _Entry = {
        "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": message,
    }
    values = record.__dict__
    entry.update((key, values[key]) for key in EXTRA_KEYS if values.get(key) is not None)
    return entry


def _arrange(_: object, __: str, entry: _Entry) -> _Entry:
    arranged = _entry(entry["_record"], entry["event"])
    if "stack_info" in entry:
        arranged["stack"] = entry["stack_info"]
    if "exc_info" in entry:
        arranged["exception"] = logging.Formatter().formatException(entry["exc_info"])
    return arranged


def _without_secrets(_: object, __: str, entry: _Entry) -> _Entry:
    return {key: value if isinstance(value, int | float) else masked(str(value)) for key, value in entry.items()}


def _printable(_: object, __: str, entry: _Entry) -> _Entry:
    """Escape control characters: untrusted text could forge lines or control the terminal."""
    return {
        key: _escaped(value, keep="\n" if key in ("exception", "stack") else "") if isinstance(value, str) else value
        for key, value in entry.items()
    }


def _escaped(text: str, *, keep: str) -> str:
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in text
    )
