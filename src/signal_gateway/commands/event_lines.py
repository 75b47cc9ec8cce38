"""Audit events as lines for a terminal."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from signal_gateway.audit.presentation.workload import workload_of
from signal_gateway.commands.output import count, terminal_text

__all__ = ["LIST_WIDTH", "followed_line", "heading_lines", "listed_lines", "shown_lines"]

LIST_WIDTH: Final = 100
"""Columns of a terminal that a listed event fits."""
_INDENT: Final = "    "
_GAP: Final = "  "
_COLUMNS: Final = ("event_timestamp", "event_type", "event_outcome", "correlation_id")
_WIDTHS: Final = (27, 27, 7, 0)


def heading_lines() -> list[str]:
    """Return the headings of `listed_lines`."""
    return _two_lines(("event_timestamp", "event_type", "outcome", "correlation_id"), "namespace/kind/name", "event_id")


def listed_lines(event: dict[str, Any]) -> list[str]:
    """Return two lines of at most `LIST_WIDTH` columns, or more for long texts. No text is cut."""
    return _two_lines(_first_cells(event), _workload(event), str(event.get("event_id", "")))


def followed_line(event: dict[str, Any]) -> str:
    """Return one line of any width."""
    cells = [*_padded(_first_cells(event)), str(event.get("event_id", "")), _workload(event)]
    return terminal_text(_GAP.join(filter(None, cells)))


def shown_lines(event: dict[str, Any], *, with_sensitive: bool = False) -> list[str]:
    """Return the members of an event that an auditor needs, one per line, and its payload.

    Args:
        event: The event.
        with_sensitive: Whether the payload is shown although the event is sensitive; otherwise its size is.
    """
    is_withheld = event.get("is_sensitive") and not with_sensitive
    heading = _GAP.join(str(event.get(column)) for column in ("event_timestamp", "event_type", "event_outcome"))
    resource = _joined(event, "resource_type", "resource_id")
    workload = _workload(event)
    duration = event.get("duration_ms")
    facts = {
        "event_id": event.get("event_id"),
        "actor": _joined(event, "actor_type", "actor_id", "actor_ip"),
        "workload": workload,
        "resource": resource,
        "severity": event.get("severity"),
        "duration": None if duration is None else f"{duration} ms",
        "error_code": event.get("error_code"),
        "error_message": event.get("error_message"),
        "payload": _withheld(event.get("event_data")) if is_withheld else None,
    }
    payload = [] if is_withheld else json.dumps(event.get("event_data"), indent=2, ensure_ascii=False).split("\n")
    return [
        terminal_text(heading),
        *(terminal_text(f"  {name + ':':<15}{value}") for name, value in facts.items() if value not in (None, "")),
        *map(terminal_text, payload),
    ]


def _withheld(payload: object) -> str:
    size = len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode())
    return f"withheld: sensitive, {count(size, 'byte')}; --sensitive shows it"


def _workload(event: dict[str, Any]) -> str:
    workload = workload_of(event)
    return workload.path if workload else ""


def _first_cells(event: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(event.get(column, "")) for column in _COLUMNS)


def _padded(first: Sequence[str]) -> list[str]:
    return [terminal_text(cell).ljust(width) for cell, width in zip(first, _WIDTHS, strict=True)]


def _two_lines(first: Sequence[str], workload: str, event_id: str) -> list[str]:
    second = [terminal_text(cell) for cell in (workload, event_id) if cell]
    return [*_flowed(_padded(first), indent=""), *_flowed(second, indent=_INDENT)]


def _joined(event: dict[str, Any], *members: str) -> str:
    return " ".join(str(event[member]) for member in members if event.get(member))


def _flowed(cells: Iterable[str], *, indent: str) -> list[str]:
    """Return the cells on as few lines as fit `LIST_WIDTH`; a cell that is too long for a line is broken."""
    from rich.cells import cell_len, chop_cells

    room = LIST_WIDTH - len(_INDENT)
    line, lines = indent, []
    for cell in cells:
        gap = _GAP if line.strip() else ""
        if gap and cell_len(line) + len(_GAP) + cell_len(cell.rstrip()) > LIST_WIDTH:
            lines.append(line.rstrip())
            line, gap = _INDENT, ""
        *full, last = chop_cells(cell, room) or [""]
        for part in full:
            lines.append(line + part)
            line = _INDENT
        line += gap + last
    return [*lines, line.rstrip()]
