"""The output of commands: lines, tables, and readable sizes."""

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["age", "count", "mebibytes", "new_table", "note", "say", "say_json", "terminal_text", "wide_console"]

_MAX_ROW_WIDTH = 10_000


def say(line: str) -> None:
    """Write a line to stdout and flush it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def say_json(document: Any) -> None:
    """Write a line of NDJSON to stdout."""
    import orjson

    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))


def note(line: str) -> None:
    """Write a line to stderr, separate from the output on stdout."""
    sys.stdout.flush()
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def new_table(*columns: str, right: tuple[str, ...] = ()) -> "Table":
    """Return an empty table.

    Args:
        *columns: The headings.
        right: The headings of columns with numbers, aligned to the right.
    """
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left")
    return made


def wide_console() -> "Console":
    """Return a console that never cuts a table row; the terminal wraps a row that is too wide."""
    from rich.console import Console

    return Console(width=_MAX_ROW_WIDTH, markup=False, emoji=False)


def count(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 event` or `2 events`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def mebibytes(size: int) -> str:
    """Return a number of bytes in MiB, such as `1.5 MiB`."""
    return f"{size / 1024**2:.1f} MiB"


def age(length: timedelta) -> str:
    """Return a length of time such as `3 h`, in the largest unit with at least two units."""
    seconds = max(int(length.total_seconds()), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def terminal_text(text: str) -> str:
    """Return a text without the control characters that a terminal would execute."""
    from signal_gateway.audit.timeline import without_control_characters

    return without_control_characters(text)
