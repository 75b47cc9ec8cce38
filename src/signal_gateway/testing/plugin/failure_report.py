"""What a failed test's report says of its gateways and services: enough to see what they did without a rerun."""

import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from signal_gateway.testing.gateway.factory import LiveService
from signal_gateway.testing.gateway.live import LiveGateway
from signal_gateway.testing.plugin.settings import Settings
from signal_gateway.testing.runtime.exchanges import Exchange

__all__ = ["LogTail", "failure_note", "failure_sections"]

_MOST_CHARACTERS: Final = 4096
_MOST_RECORDS: Final = 30
_SECRET: Final = re.compile(
    r"""(?ix) ( ["']? [\w-]* (?:token|password|secret|authorization|api[_-]?key) [\w-]* ["']? \s* [:=] \s* )
    ( "[^"]*"? | '[^']*'? | (?:bearer\s+|basic\s+)? [^\s,;&}\]]+ )"""
)
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/\s@]+(?=@)")

Served = LiveGateway | LiveService


class LogTail(logging.Handler):
    """Keeps the last records of this package's loggers while a test runs."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        self._records: deque[str] = deque(maxlen=_MOST_RECORDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record as text."""
        self._records.append(self.format(record))

    @property
    def lines(self) -> list[str]:
        """The records, oldest first."""
        return list(self._records)


def failure_note(served: Sequence[Served]) -> str | None:
    """Return one line about the last exchange of a failed test; None if there was none."""
    exchanges = [exchange for one in served for exchange in _exchanges(one)]
    if not exchanges:
        return None
    last = exchanges[-1]
    answer = "no answer yet" if last.status is None else last.status
    return f"gateway: the last request was {last.method} {last.path} -> {answer}; more in the sections below"


def failure_sections(
    served: Sequence[Served], *, settings: Settings, log: LogTail | None = None
) -> list[tuple[str, str]]:
    """Return titles and texts about what a failed test's gateways and services did; each is bounded.

    Never raises: a section that can't be made says why.

    Args:
        served: What the test served, oldest first.
        settings: The session's; how much is told is one of them.
        log: The records of the test; told of in a full report.
    """
    if settings.report.value == "none":
        return []
    sections: list[tuple[str, Callable[[], Iterable[str]]]] = []
    for number, one in enumerate(served, 1):
        what = "gateway" if isinstance(one, LiveGateway) else "service"
        title = f"{what} {number}, {one.url}" if len(served) > 1 else f"{what} {one.url}"
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
        return f"can't be told: {type(exc).__name__}: {exc}"
    return text if len(text) <= _MOST_CHARACTERS else "...\n" + text[-_MOST_CHARACTERS:]


def _redacted(line: str) -> str:
    return _CREDENTIALS.sub("[redacted]", _SECRET.sub(r"\1[redacted]", line))


def _exchanges(one: Served) -> list[Exchange]:
    return one.exchanges if isinstance(one, LiveGateway) else one.server.exchanges


def _requests_of(one: Served) -> Callable[[], Iterable[str]]:
    def lines() -> Iterable[str]:
        for exchange in _exchanges(one):
            yield str(exchange)
            yield from exchange.error.splitlines()

    return lines


def _metrics_of(one: Served) -> Callable[[], Iterable[str]]:
    def lines() -> Iterable[str]:
        if isinstance(one, LiveGateway) or one.registry is not None:
            series = one.metrics.counted().items()
            yield from (f"{key} {value:g}" for key, value in series if not key.startswith("gateway_build_info"))

    return lines


def _events_of(live: LiveGateway) -> Callable[[], Iterable[str]]:
    def lines() -> Iterable[str]:
        for event in live.gateway.recent_events:
            error = (event.event_data or {}).get("error_details")
            told = f"  {error}" if error else ""
            moment = event.event_timestamp.strftime("%H:%M:%S.%f")[:-3]
            yield f"{moment}  {event.event_type:<28} {event.event_outcome:<8} {event.correlation_id}{told}"

    return lines


def _settings_of(live: LiveGateway) -> Callable[[], Iterable[str]]:
    return lambda: live.config.model_dump_json(indent=2).splitlines()
