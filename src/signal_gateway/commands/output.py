"""How commands write: lines, tables, and sizes that people read."""

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["age", "count", "mebibytes", "new_table", "note", "say", "say_json", "wide_console"]

_WIDER_THAN_ANY_ROW = 10_000


def say(line: str) -> None:
    """Write a line to stdout, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def say_json(document: Any) -> None:
    """Write a line of NDJSON to stdout."""
    import orjson

    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))


def note(line: str) -> None:
    """Write a line to stderr, beside what a command says on stdout."""
    sys.stdout.flush()
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def new_table(*columns: str, right: tuple[str, ...] = ()) -> "Table":
    """Return an empty table.

    Args:
        *columns: Its headings.
        right: Those whose cells are numbers, aligned to the right.
    """
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left")
    return made


def wide_console() -> "Console":
    """Return a console for tables that are never cut: where a row is wider than the terminal, that wraps it."""
    from rich.console import Console

    return Console(width=_WIDER_THAN_ANY_ROW, markup=False, emoji=False)


def count(number: int, noun: str) -> str:
    """Return such as `1 event` or `2 events`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def mebibytes(size: int) -> str:
    """Return a number of bytes such as `1.5 MiB`."""
    return f"{size / 1024**2:.1f} MiB"


def age(length: timedelta) -> str:
    """Return a time such as `3 h`, in the largest unit that there are two of."""
    seconds = max(int(length.total_seconds()), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
