"""A file of audit events that is there in full, or not at all."""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from signal_gateway.errors import ConfigurationError

__all__ = ["write_export"]


def write_export(events: Iterable[dict[str, Any]], path: Path) -> int:
    """Write events as NDJSON under a temporary name in the same directory, and rename it when it is complete.

    Args:
        events: The events; an error of theirs leaves whatever was at `path` as it was.
        path: The file.

    Returns:
        How many events there were.

    Raises:
        ConfigurationError: The file can't be written.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    written = 0
    try:
        with partial.open("xb") as file:
            for event in events:
                file.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
                written += 1
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as exc:
        raise ConfigurationError(f"--output {path} can't be written: {exc.strerror}") from exc
    finally:
        partial.unlink(missing_ok=True)
    return written
