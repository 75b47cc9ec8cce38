"""Logs: what a service says through the standard library's `logging`, a line for each record, without secrets."""

import logging
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer, format_exc_info
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor

from signal_gateway.web.secrets import masked

__all__ = ["EXTRA_KEYS", "LogFormat", "LogLevel", "log_formatter", "logs_written"]

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]

EXTRA_KEYS: Final = (
    "request_id",
    "correlation_id",
    "fingerprint",
    "sender",
    "method",
    "path",
    "status",
    "duration_ms",
)
"""What a call may pass by `extra={...}` to stand in the line beside the message; other keys are left out."""

_Entry = MutableMapping[str, Any]


@contextmanager
def logs_written(stream: TextIO, *, level: LogLevel, format: LogFormat) -> Iterator[None]:
    """Write the logs of the whole process to a stream, warnings of Python's included; afterwards all is as before.

    For the one service of a process. Other handlers, such as those of pytest's caplog, stay.

    Args:
        stream: Where to.
        level: The least level that is written; of libraries, which tell of every call at info, warnings at least.
        format: How.
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
    """Return what makes text of a record.

    As JSON: an object in one line, with timestamp (RFC 3339, UTC), level, logger, event, those of `EXTRA_KEYS` that
    are there, and exception. For a console: a line, under which an exception has lines of its own.

    Args:
        format: Which of the two.
        colors: Whether the console shows colors.
    """
    common: list[Processor] = [_arranged, format_exc_info, _without_secrets]
    if format == "json":
        return ProcessorFormatter(processors=[*common, JSONRenderer()])
    console = ConsoleRenderer(colors=colors, sort_keys=False, exception_formatter=plain_traceback)
    return ProcessorFormatter(processors=[*common, _printable, console])


@contextmanager
def _at_level(logger: logging.Logger, level: int) -> Iterator[None]:
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


def _arranged(_: object, __: str, entry: _Entry) -> _Entry:
    record: logging.LogRecord = entry["_record"]
    at = datetime.fromtimestamp(record.created, UTC)
    arranged = {
        "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": entry["event"],
    }
    arranged |= {key: value for key in EXTRA_KEYS if (value := record.__dict__.get(key)) is not None}
    if "stack_info" in entry:
        arranged["stack"] = entry["stack_info"]
    if "exc_info" in entry:
        arranged["exc_info"] = entry["exc_info"]
    return arranged


def _without_secrets(_: object, __: str, entry: _Entry) -> _Entry:
    return {key: value if isinstance(value, int | float) else masked(str(value)) for key, value in entry.items()}


def _printable(_: object, __: str, entry: _Entry) -> _Entry:
    """Escape control characters, of what others wrote: they could forge lines, or command the terminal."""
    return {
        key: _escaped(value, but="\n" if key in ("exception", "stack") else "") if isinstance(value, str) else value
        for key, value in entry.items()
    }


def _escaped(text: str, *, but: str) -> str:
    return "".join(
        char if char.isprintable() or char in but else char.encode("unicode_escape").decode() for char in text
    )
