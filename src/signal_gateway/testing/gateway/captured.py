"""Captured payloads: reads the recorded requests of a real sender from a file, for replay."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from signal_gateway.errors import HarnessError

__all__ = ["EVENT_SOURCE", "PROMETHEUS_SOURCE", "Captured", "read_captured"]

PROMETHEUS_SOURCE: Final = "prometheus"
EVENT_SOURCE: Final = "kubernetes-event"

_TIMES: Final = frozenset(
    ("startsAt", "endsAt", "firstTimestamp", "lastTimestamp", "eventTime", "creationTimestamp", "lastObservedTime")
)
_ZERO_YEAR: Final = "0001-"  # Go's zero time stands for no time

Captured = tuple[str, dict[str, Any]]


def read_captured(path: Path | str, *, now: datetime | None = None) -> list[Captured]:
    """Read payloads from a file: one JSON document, a JSON array of documents, or one document per line.

    Args:
        path: The file.
        now: The new value of the newest time of each payload; the other times move with it. None: no change.

    Returns:
        The name of the source (`prometheus` or `kubernetes-event`) and the payload, for each payload.

    Raises:
        HarnessError: The file cannot be read, or a document is no payload. The message names both.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        documents = list(_documents(text))
    except (OSError, ValueError) as exc:
        raise HarnessError(f"cannot replay {path}: {exc}") from exc
    if not documents:
        raise HarnessError(f"cannot replay {path}: the file is empty")
    captured = []
    for number, document in enumerate(documents, 1):
        source = _source_of(document)
        if source is None:
            raise HarnessError(
                f"cannot replay {path}: document {number} is neither an Alertmanager webhook, which has `alerts`,"
                " nor a Kubernetes Event, whose `kind` is Event"
            )
        captured.append((source, document if now is None else _moved(document, now)))
    return captured


def _documents(text: str) -> Iterator[Any]:
    try:
        document = json.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        yield from map(json.loads, lines)
    else:
        yield from document if isinstance(document, list) else [document]


def _source_of(document: object) -> str | None:
    if isinstance(document, dict) and isinstance(document.get("alerts"), list):
        return PROMETHEUS_SOURCE
    if isinstance(document, dict) and document.get("kind") == "Event":
        return EVENT_SOURCE
    return None


def _moved(document: dict[str, Any], now: datetime) -> dict[str, Any]:
    moments = list(_moments(document))
    if not moments:
        return document
    moved: dict[str, Any] = _shifted(document, now - max(moments))
    return moved


def _moments(value: object) -> Iterator[datetime]:
    if isinstance(value, dict):
        for key, item in value.items():
            if (moment := _moment(key, item)) is not None:
                yield moment
            else:
                yield from _moments(item)
    elif isinstance(value, list):
        for item in value:
            yield from _moments(item)


def _shifted(value: Any, by: timedelta) -> Any:
    if isinstance(value, dict):
        return {
            key: _shifted(item, by) if (moment := _moment(key, item)) is None else _text(moment + by)
            for key, item in value.items()
        }
    return [_shifted(item, by) for item in value] if isinstance(value, list) else value


def _moment(key: str, value: object) -> datetime | None:
    if key not in _TIMES or not isinstance(value, str) or value.startswith(_ZERO_YEAR):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
