"""Audit events as CSV for spreadsheets: CSV_COLUMNS, CsvLines and harmless_cell."""

import csv
import io
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from signal_gateway.audit.presentation.workload import workload_of

__all__ = ["CSV_COLUMNS", "CsvLines", "harmless_cell"]

CSV_COLUMNS: Final = (
    "event_timestamp",
    "event_type",
    "event_category",
    "event_action",
    "event_outcome",
    "severity",
    "correlation_id",
    "workload",
    "actor_type",
    "actor_id",
    "actor_ip",
    "resource_type",
    "resource_id",
    "namespace",
    "cluster_id",
    "duration_ms",
    "error_code",
    "error_message",
    "event_id",
    "parent_event_id",
    "sequence",
    "received_at",
    "event_data",
)
"""The columns in their order: members of an event, and `workload` as `namespace/kind/name`; `event_data` is JSON."""

# Excel, LibreOffice and Google Sheets begin a formula with these characters, of full width too
_FORMULA_STARTS: Final = frozenset("=+-@|%\uff1d\uff0b\uff0d\uff20")
# they ignore the others of these characters before it; the separators begin a cell where a locale or a quote says so
_SEPARATORS: Final = ";\t\r\n"
_BLANK: Final = re.compile(r"\A[;\s\"'\0]*|[;\s\"'\0]+")
_USUAL_START: Final = re.compile(r"[A-Za-z0-9{]|\Z")
_SEPARATED: Final = re.compile(f"[{_SEPARATORS}]")

_Cell = str | int | float


def harmless_cell(text: str) -> str:
    """Return a text that no spreadsheet runs as a formula: an apostrophe stands before each formula in it.

    Source: OWASP, CSV Injection.
    """
    if _USUAL_START.match(text) and not _SEPARATED.search(text):
        return text

    def disarmed(found: re.Match[str]) -> str:
        blank = found[0]
        first = "'" if found.start() == 0 else ""
        if text[found.end() : found.end() + 1] not in _FORMULA_STARTS:
            return f"{first}{blank}" if blank.startswith(("\t", "\r", "\n")) else blank
        cell = 1 + max(blank.rfind(separator) for separator in _SEPARATORS)
        return f"{first}{blank[:cell]}'{blank[cell:]}" if cell else f"{first}{blank}"

    return _BLANK.sub(disarmed, text)


class CsvLines:
    """Encodes events as rows of CSV (RFC 4180) in UTF-8."""

    def __init__(self) -> None:
        self._buffer = io.StringIO(newline="")
        self._writer = csv.writer(self._buffer)

    def heading(self) -> bytes:
        """Return the row with `CSV_COLUMNS`."""
        return self._encoded(CSV_COLUMNS)

    def row(self, event: dict[str, Any]) -> bytes:
        """Return the row of an event; a member that it has not is an empty cell."""
        return self._encoded([_cell(event, column) for column in CSV_COLUMNS])

    def _encoded(self, cells: Sequence[_Cell]) -> bytes:
        self._writer.writerow(cells)
        encoded = self._buffer.getvalue().encode()
        self._buffer.seek(0)
        self._buffer.truncate()
        return encoded


def _cell(event: dict[str, Any], column: str) -> _Cell:
    if column == "workload":
        workload = workload_of(event)
        return harmless_cell(workload.path) if workload else ""
    value = event.get(column)
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return harmless_cell(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
