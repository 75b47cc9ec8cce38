"""checked_token and read_token: the rules for the bearer token of a client; ClientToken: the token of its file."""

import logging
import os
from pathlib import Path

from signal_gateway._file_version import file_version
from signal_gateway.audit.guarded_log import GuardedLog
from signal_gateway.errors import ConfigurationError

__all__ = ["ClientToken", "checked_token", "read_token"]

_MAX_BYTES = 64 * 1024


def checked_token(token: str, url: str) -> str:
    """Return the token if it is valid in an HTTP header.

    Args:
        token: The token.
        url: URL of the server, for the error message.

    Raises:
        ConfigurationError: The token is invalid. The message does not contain the token.
    """
    if not _fits_a_header(token):
        raise ConfigurationError(
            f"the token for DataStorage at {url} is empty or has characters that are not valid in an HTTP header"
        )
    return token


def read_token(path: str | os.PathLike[str], *, source: str) -> str:
    """Return the token in a file: its first line, without the spaces around it.

    Args:
        path: Name of the file.
        source: Source of the name, for error messages: `--token-file`, `audit.token_file`, ….

    Raises:
        ConfigurationError: The file cannot be read, or does not contain one token. The message names the file, never
            its content.
    """

    def wrong(problem: str) -> ConfigurationError:
        return ConfigurationError(f"token file {os.fspath(path)!r} (from {source}) {problem}")

    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "its name has a NUL character"
        raise wrong(f"can't be read: {reason}") from exc
    first, *others = content.decode(errors="replace").splitlines() or [""]
    token = first.strip()
    if len(content) > _MAX_BYTES:
        raise wrong(f"has more than {_MAX_BYTES} bytes: it must contain one token")
    if any(line.strip() for line in others):
        raise wrong("has more than one line: it must contain one token")
    if not token:
        raise wrong("is empty, or its first line is: it must contain one token")
    if not _fits_a_header(token):
        raise wrong("contains no valid token: it has spaces, or characters that are not valid in an HTTP header")
    return token


class ClientToken:
    """The token in a file, read again after each change of the file.

    If the changed file has no valid token, as during its replacement, the error is logged and the previous token stays.

    Args:
        path: Name of the file.
        source: Source of the name, for error messages.

    Raises:
        ConfigurationError: As `read_token`.
    """

    def __init__(self, path: Path, *, source: str) -> None:
        self._path = path
        self._source = source
        self._log = GuardedLog(logging.getLogger(__name__))
        self._seen = file_version(path)
        self._token = read_token(path, source=source)

    def current(self) -> str:
        """Return the token in the file now."""
        version = file_version(self._path)
        if version != self._seen:
            self._seen = version  # before reading: a change in between is found by the next call
            try:
                self._token = read_token(self._path, source=self._source)
            except ConfigurationError as exc:
                self._log.error("the token read before stays in use: %s", exc)
        return self._token


def _fits_a_header(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and " " not in token
