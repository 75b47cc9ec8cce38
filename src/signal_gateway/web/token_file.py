"""Tokens in a file: what each is good for, read again when the file changes.

One token a line; a line that starts with `#` is a comment, and empty lines are skipped.
"""

import hashlib
import hmac
import logging
import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from signal_gateway.errors import ConfigurationError

__all__ = ["MAX_TOKEN_FILE_BYTES", "MIN_TOKEN_LENGTH", "WatchedTokens"]

MIN_TOKEN_LENGTH = 16
MAX_TOKEN_FILE_BYTES = 1024 * 1024

# RFC 6750 section 2.1, b64token: what can be sent as a bearer token
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")

_log = logging.getLogger(__name__)

Grant = TypeVar("Grant")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Grant]):
    digest: bytes
    grant: Grant


@dataclass(frozen=True, slots=True)
class _Version:
    """What tells one state of a file from another; symbolic links are followed, so a swapped one tells too."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


class WatchedTokens(Generic[Grant]):
    """The tokens of a file, read again whenever it has changed.

    A changed file that can't be used is logged once; the tokens that were read before stay valid until it is mended.
    Only digests of the tokens are kept, and no message repeats one.

    Args:
        path: The file. Kubernetes swaps the symbolic links of a Secret: they are followed.
        read_line: Returns the token of a line and what it is good for; raises ValueError with what is wrong, which
            must not repeat what may be a token.
        form: What a line looks like, for messages.

    Raises:
        ConfigurationError: The file can't be read, or a line of it breaks a rule; the message says which.
    """

    def __init__(self, path: Path, *, read_line: Callable[[str], tuple[str, Grant]], form: str) -> None:
        self._path = path
        self._read_line = read_line
        self._form = form
        self._seen = _version_of(path)
        self._entries = self._read()

    def grant_of(self, token: bytes) -> Grant | None:
        """Return what a token is good for; None if it isn't in the file.

        How long this takes tells nothing about the tokens of the file but their number.

        Args:
            token: As it was sent.
        """
        self._look_again()
        digest = hashlib.sha256(token).digest()
        grant: Grant | None = None
        for entry in self._entries:
            if hmac.compare_digest(entry.digest, digest):
                grant = entry.grant  # no early end: the position would show
        return grant

    def _look_again(self) -> None:
        version = _version_of(self._path)
        if version == self._seen:
            return
        self._seen = version  # before it is read: a change in between shows the next time
        try:
            self._entries = self._read()
        except ConfigurationError as exc:
            _log.error("the tokens that were read before stay valid: %s", exc)
        else:
            _log.info("read %d tokens from %s again, because it changed", len(self._entries), self._path)

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
                f"the token file {path} has more than {MAX_TOKEN_FILE_BYTES} bytes: is it another file?"
            )
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise ConfigurationError(f"the token file {path} is not UTF-8") from None  # the cause would show its bytes

        entries: list[_Entry[Grant]] = []
        lines_of: dict[bytes, int] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                token, grant = self._read_line(line)
                digest = _digest_of(token)
            except ValueError as exc:
                raise ConfigurationError(f"{path}, line {number}: {exc}") from None
            first = lines_of.setdefault(digest, number)
            if first != number:
                raise ConfigurationError(
                    f"{path}, line {number}: its token is that of line {first}; every line has its own"
                )
            entries.append(_Entry(digest, grant))
        if not entries:
            raise ConfigurationError(f"the token file {path} has no token; write lines of the form: {self._form}")
        if mode & stat.S_IROTH:
            _log.warning("everybody on this machine can read the tokens in %s: chmod o-r, or 0400 for a Secret", path)
        return entries


def _version_of(path: Path) -> _Version | None:
    try:
        found = os.stat(path)
    except OSError:
        return None  # reading it will say why
    return _Version(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _digest_of(token: str) -> bytes:
    if not _TOKEN.fullmatch(token):
        raise ValueError(
            "its token has a character that a bearer token can't have: letters, digits and - . _ ~ + / are allowed, "
            "and = at its end"
        )
    if len(token) < MIN_TOKEN_LENGTH:
        raise ValueError(
            f"its token is shorter than {MIN_TOKEN_LENGTH} characters; make one with: openssl rand -hex 32"
        )
    return hashlib.sha256(token.encode()).digest()
