"""WatchedTokens: the tokens of a file, with the grant of each, read again after each change of the file.

One token a line; a line that starts with `#` is a comment, and empty lines are skipped.
"""

import hashlib
import hmac
import logging
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from signal_gateway._file_version import file_version
from signal_gateway.errors import ConfigurationError

__all__ = ["MAX_TOKEN_FILE_BYTES", "MIN_TOKEN_LENGTH", "LineFormat", "WatchedTokens"]

MIN_TOKEN_LENGTH = 16
MAX_TOKEN_FILE_BYTES = 1024 * 1024

# RFC 6750 section 2.1, b64token: the characters of a bearer token
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")

_log = logging.getLogger(__name__)

Grant = TypeVar("Grant")
ParsedGrant = TypeVar("ParsedGrant", covariant=True)


class LineFormat(Protocol[ParsedGrant]):
    """The format of one line with a token."""

    @property
    def example(self) -> str:
        """A line of this format, for messages."""
        ...

    def parse(self, line: str) -> tuple[str, ParsedGrant]:
        """Return the token of a line and its grant.

        Raises:
            ValueError: The line is not valid. The message must not repeat any part of the line that may be a token.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Grant]):
    digest: bytes
    grant: Grant


class WatchedTokens(Generic[Grant]):
    """The tokens of a file, read again after each change of the file.

    If a changed file is not valid, the error is logged once, and the tokens that were read before stay valid until the
    file is valid again. Only digests of the tokens are kept, and no message repeats a token.

    Args:
        path: The file. Symbolic links are followed: Kubernetes swaps those of a Secret.
        format: Parses the lines.

    Raises:
        ConfigurationError: The file is not readable, or a line is not valid; the message names the line.
    """

    def __init__(self, path: Path, *, format: LineFormat[Grant]) -> None:
        self._path = path
        self._format = format
        self._seen = file_version(path)
        self._entries = self._read()

    def grant_of(self, token: bytes) -> Grant | None:
        """Return the grant of a token; None if the token is not in the file.

        The duration depends on the number of tokens in the file alone: it reveals nothing about their characters.

        Args:
            token: The token of a request.
        """
        self._read_if_changed()
        digest = hashlib.sha256(token).digest()
        grant: Grant | None = None
        for entry in self._entries:
            if hmac.compare_digest(entry.digest, digest):
                grant = entry.grant  # no early end: the duration would reveal the position
        return grant

    def _read_if_changed(self) -> None:
        version = file_version(self._path)
        if version == self._seen:
            return
        self._seen = version  # before reading, so that a change in between is found by the next call
        try:
            self._entries = self._read()
        except ConfigurationError as exc:
            _log.error("the changed token file is not valid, and the tokens read before stay valid: %s", exc)
        else:
            _log.info("read %d tokens from the changed file %s", len(self._entries), self._path)

    def _read(self) -> Sequence[_Entry[Grant]]:
        path = self._path
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(MAX_TOKEN_FILE_BYTES + 1)
        except OSError as exc:
            raise ConfigurationError(f"the token file {path} can't be read: {exc.strerror or exc}") from exc
        if len(content) > MAX_TOKEN_FILE_BYTES:
            raise ConfigurationError(
                f"the token file {path} has more than {MAX_TOKEN_FILE_BYTES} bytes: check the path"
            )
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise ConfigurationError(
                f"the token file {path} is not UTF-8"
            ) from None  # the cause contains bytes of the file

        entries: list[_Entry[Grant]] = []
        lines_of: dict[bytes, int] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                token, grant = self._format.parse(line)
                digest = _digest_of(token)
            except ValueError as exc:
                raise ConfigurationError(f"{path}, line {number}: {exc}") from None
            first = lines_of.setdefault(digest, number)
            if first != number:
                raise ConfigurationError(
                    f"{path}, line {number}: its token is that of line {first}; give each line a token of its own"
                )
            entries.append(_Entry(digest, grant))
        if not entries:
            raise ConfigurationError(
                f"the token file {path} has no token; write lines of the form: {self._format.example}"
            )
        if mode & stat.S_IROTH:
            _log.warning("every user of this machine can read the tokens in %s: chmod o-r, or 0400 for a Secret", path)
        return entries


def _digest_of(token: str) -> bytes:
    if not _TOKEN.fullmatch(token):
        raise ValueError(
            "its token has a character that a bearer token can't have: letters, digits and - . _ ~ + / are allowed, "
            "and = at the end"
        )
    if len(token) < MIN_TOKEN_LENGTH:
        raise ValueError(
            f"its token is shorter than {MIN_TOKEN_LENGTH} characters; make one with: openssl rand -hex 32"
        )
    return hashlib.sha256(token.encode()).digest()
