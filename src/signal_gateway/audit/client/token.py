"""The bearer token of a client: what one may look like, and the file that keeps it out of command lines."""

import os
from pathlib import Path

from signal_gateway.errors import ConfigurationError

__all__ = ["checked_token", "read_token"]

_MAX_BYTES = 64 * 1024


def checked_token(token: str, url: str) -> str:
    """Return the token if a header can carry it.

    Args:
        token: The token.
        url: Where it is for, for the error message.

    Raises:
        ConfigurationError: It can't; the message does not repeat it.
    """
    if not _fits_a_header(token):
        raise ConfigurationError(f"the token for DataStorage at {url} is empty or has characters that no header takes")
    return token


def read_token(path: str | os.PathLike[str], *, source: str) -> str:
    """Return the token that a file holds: its first line, without the spaces around it.

    Args:
        path: The file.
        source: Where its name came from, for error messages: `--token-file`, `audit.token_file`, ….

    Raises:
        ConfigurationError: It can't be read, or does not hold one token; the message names the file, never what is
            in it.
    """

    def wrong(what: str) -> ConfigurationError:
        return ConfigurationError(f"token file {os.fspath(path)!r} (from {source}) {what}")

    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "its name has a NUL character"
        raise wrong(f"can't be read: {reason}") from exc
    first, *others = content.decode(errors="replace").splitlines() or [""]
    token = first.strip()
    if len(content) > _MAX_BYTES:
        raise wrong(f"has more than {_MAX_BYTES} bytes: it is to hold one token")
    if any(line.strip() for line in others):
        raise wrong("has more than one line: it is to hold one token")
    if not token:
        raise wrong("is empty, or its first line is: it is to hold one token")
    if not _fits_a_header(token):
        raise wrong("holds no token: there are spaces in it, or characters that no header takes")
    return token


def _fits_a_header(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and " " not in token
