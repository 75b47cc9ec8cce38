"""The output of commands: lines, tables, readable sizes, and files."""

import errno
import io
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from signal_gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "age",
    "complete_output",
    "count",
    "mebibytes",
    "new_table",
    "note",
    "replaced_file",
    "say",
    "say_json",
    "terminal_text",
    "wide_console",
]

_MAX_ROW_WIDTH = 10_000
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def complete_output() -> Iterator[None]:
    """Write the whole output of the block to stdout, with an escape for each character that it cannot encode.

    Raises:
        ConfigurationError: stdout is closed, or there is no space for the output.
    """
    if sys.stdout is None:
        raise ConfigurationError("stdout is closed: redirect it, for example to /dev/null")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as exc:
        if exc.errno not in (*_NO_SPACE, errno.EPIPE):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes the rest at its end
        if exc.errno == errno.EPIPE:  # the reader has all that it needs
            raise SystemExit(1) from exc
        raise ConfigurationError(f"cannot write: {exc.strerror}. Free some space and repeat the command") from exc


@contextmanager
def replaced_file(path: Path, *, option: str) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`, and rename it at the end of the block: `path` is complete or unchanged.

    The target of a link is replaced, not the link. A device or a pipe is written directly.

    Args:
        path: The file.
        option: The option with the path, for errors.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as device:
                yield device
            return
        target = Path(os.path.realpath(path))
        if not target.name:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
        try:
            with partial.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as exc:
        raise ConfigurationError(f"cannot write {option} {path}: {exc.strerror}") from exc


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
