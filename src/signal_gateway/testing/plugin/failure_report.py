"""The report of a failed test: requests, metrics and audit events of its gateways and services."""

import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from signal_gateway.testing.gateway.live import LiveGateway
from signal_gateway.testing.gateway.service import LiveService
from signal_gateway.testing.plugin.settings import Settings

__all__ = ["LogTail", "failure_note", "failure_sections"]

_MOST_CHARACTERS: Final = 4096
_MOST_RECORDS: Final = 30
_CONSTANT_METRICS: Final = ("gateway_build_info", "process_", "python_")  # of the build and the process
_SECRET: Final = re.compile(
    r"""(?ix) ( ["']? [\w-]* (?:token|password|secret|authorization|api[_-]?key) [\w-]* ["']? \s* [:=] \s* )
    ( "[^"]*"? | '[^']*'? | (?:bearer\s+|basic\s+)? [^\s,;&}\]]+ )"""
)
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/\s@]+(?=@)")

Live = LiveGateway | LiveService


class LogTail(logging.Handler):
    """Logging handler that keeps the last records of the loggers of this package."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        self._records: deque[str] = deque(maxlen=_MOST_RECORDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Format a record and keep the text."""
        self._records.append(self.format(record))

    @property
    def lines(self) -> list[str]:
        """The formatted records, oldest first."""
        return list(self._records)


def failure_note(servers: Sequence[Live]) -> str | None:
    """Return one line about the last exchange of a failed test; None without an exchange."""
    used = [one for one in servers if one.exchanges]
    if not used:
        return None
    last = used[-1].exchanges[-1]
    status = "no response yet" if last.status is None else last.status
    return f"{_noun(used[-1])}: the last request was {last.method} {last.path} -> {status}; more in the sections below"


def failure_sections(
    servers: Sequence[Live], *, settings: Settings, log: LogTail | None = None
) -> list[tuple[str, str]]:
    """Return the titles and texts of the sections for a failed test. Each text has a maximum length.

    Never raises: the section of an error contains its message.

    Args:
        servers: The live gateways and services of the test, oldest first.
        settings: The settings of the session, which choose the sections.
        log: The log records of the test, for a full report.
    """
    if settings.report.value == "none":
        return []
    sections: list[tuple[str, Callable[[], Iterable[str]]]] = []
    for number, one in enumerate(servers, 1):
        title = f"{_noun(one)} {number}, {one.url}" if len(servers) > 1 else f"{_noun(one)} {one.url}"
        sections.append((f"{title}: last requests", _requests_of(one)))
        sections.append((f"{title}: metrics that counted", _metrics_of(one)))
        if isinstance(one, LiveGateway):
            sections.append((f"{title}: audit events, oldest first", _events_of(one)))
            if settings.report.value == "full":
                sections.append((f"{title}: settings", _settings_of(one)))
    if settings.report.value == "full":
        sections.append(("gateway: settings of the session", settings.lines))
        if log is not None:
            sections.append(("gateway: log", lambda: log.lines))
    texts = ((title, _text(lines)) for title, lines in sections)
    return [(title, text) for title, text in texts if text]


def _text(lines: Callable[[], Iterable[str]]) -> str:
    try:
        text = "\n".join(_redacted(line) for line in lines())
    except Exception as exc:  # noqa: BLE001 - a report must not hide the failure that it reports
        return f"this section failed: {type(exc).__name__}: {exc}"
    return text if len(text) <= _MOST_CHARACTERS else "...\n" + text[-_MOST_CHARACTERS:]


def _redacted(line: str) -> str:
    return _CREDENTIALS.sub("[redacted]", _SECRET.sub(r"\1[redacted]", line))


def _noun(one: Live) -> str:
    return "gateway" if isinstance(one, LiveGateway) else "service"


def _requests_of(one: Live) -> Callable[[], Iterable[str]]:
    def lines() -> Iterable[str]:
        for exchange in one.exchanges:
            yield str(exchange)
            yield from exchange.error.splitlines()

    return lines


def _metrics_of(one: Live) -> Callable[[], Iterable[str]]:
    def lines() -> Iterable[str]:
        series = one.metrics.counted().items()
        yield from (f"{key} {value:g}" for key, value in series if not key.startswith(_CONSTANT_METRICS))

    return lines


def _events_of(live: LiveGateway) -> Callable[[], Iterable[str]]:
    def lines() -> Iterable[str]:
        for event in live.gateway.recent_events:
            error = (event.event_data or {}).get("error_details")
            detail = f"  {error}" if error else ""
            moment = event.event_timestamp.strftime("%H:%M:%S.%f")[:-3]
            yield f"{moment}  {event.event_type:<28} {event.event_outcome:<8} {event.correlation_id}{detail}"

    return lines


def _settings_of(live: LiveGateway) -> Callable[[], Iterable[str]]:
    return lambda: live.config.model_dump_json(indent=2).splitlines()
