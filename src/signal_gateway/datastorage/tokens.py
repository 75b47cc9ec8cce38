"""TokenFile: who may read and who may write, from a file that may change while the service runs.

One token a line, `SCOPES TOKEN [NAME]`, where SCOPES is `read`, `write` or `read,write`. A line that starts with `#` is
a comment, empty lines are skipped, and a name is for people only:

    # made with: openssl rand -hex 32
    write       5d41402abc4b2a76b9719d911017c592  gateway
    read,write  7d793037a0760186574b0282f2f435e7  the operators
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
from typing import Literal, cast, get_args

from signal_gateway.errors import ConfigurationError

__all__ = ["MAX_TOKEN_FILE_BYTES", "MIN_TOKEN_LENGTH", "Scope", "TokenFile"]

Scope = Literal["read", "write"]

MIN_TOKEN_LENGTH = 16
MAX_TOKEN_FILE_BYTES = 1024 * 1024

_SCOPES: frozenset[str] = frozenset(get_args(Scope))
# RFC 6750 section 2.1, b64token: what can be sent as a bearer token
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_NO_SCOPES: frozenset[Scope] = frozenset()

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry:
    digest: bytes
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class _Version:
    """What tells one state of a file from another; symbolic links are followed, so a swapped one tells too."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


class TokenFile:
    """The tokens of a file, read again whenever it has changed.

    A changed file that can't be used is logged once; the tokens that were read before stay valid until it is mended.
    Only digests of the tokens are kept, and no message repeats one.

    Args:
        path: The file; see the module for its form. Kubernetes swaps the symbolic links of a Secret: they are followed.

    Raises:
        ConfigurationError: The file can't be read, or a line of it breaks a rule; the message says which.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _version_of(path)
        self._entries = _read(path)

    def scopes_of(self, token: bytes) -> frozenset[Scope]:
        """Return what a token is good for: nothing, if it isn't in the file.

        How long this takes tells nothing about the tokens of the file but their number.

        Args:
            token: As it was sent.
        """
        self._look_again()
        digest = hashlib.sha256(token).digest()
        scopes = _NO_SCOPES
        for entry in self._entries:
            if hmac.compare_digest(entry.digest, digest):
                scopes = entry.scopes  # no early end: the position would show
        return scopes

    def _look_again(self) -> None:
        version = _version_of(self._path)
        if version == self._seen:
            return
        self._seen = version  # before it is read: a change in between shows the next time
        try:
            self._entries = _read(self._path)
        except ConfigurationError as exc:
            _log.error("the tokens that were read before stay valid: %s", exc)
        else:
            _log.info("read %d tokens from %s again, because it changed", len(self._entries), self._path)


def _version_of(path: Path) -> _Version | None:
    try:
        found = os.stat(path)
    except OSError:
        return None  # reading it will say why
    return _Version(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _read(path: Path) -> Sequence[_Entry]:
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

    entries: list[_Entry] = []
    lines_of: dict[bytes, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            entry = _entry(line)
        except ValueError as exc:
            raise ConfigurationError(f"{path}, line {number}: {exc}") from None
        first = lines_of.setdefault(entry.digest, number)
        if first != number:
            raise ConfigurationError(
                f"{path}, line {number}: its token is that of line {first}; every line has its own"
            )
        entries.append(entry)
    if not entries:
        raise ConfigurationError(f"the token file {path} has no token; write lines of the form: read,write TOKEN NAME")
    if mode & stat.S_IROTH:
        _log.warning("everybody on this machine can read the tokens in %s: chmod o-r, or 0400 for a Secret", path)
    return entries


def _entry(line: str) -> _Entry:
    """Read a line; the messages of its errors repeat nothing that may be a token."""
    words = line.split(maxsplit=2)
    if len(words) < 2:
        raise ValueError("must be SCOPES TOKEN [NAME], such as: read,write 5d41402abc4b2a76b9719d911017c592 operators")
    scopes = words[0].split(",")
    if not set(scopes) <= _SCOPES or len(set(scopes)) != len(scopes):
        raise ValueError("must begin with what the token is good for: read, write or read,write")
    token = words[1]
    if not _TOKEN.fullmatch(token):
        raise ValueError(
            "its token has a character that a bearer token can't have: letters, digits and - . _ ~ + / are allowed, "
            "and = at its end"
        )
    if len(token) < MIN_TOKEN_LENGTH:
        raise ValueError(
            f"its token is shorter than {MIN_TOKEN_LENGTH} characters; make one with: openssl rand -hex 32"
        )
    return _Entry(hashlib.sha256(token.encode()).digest(), frozenset(cast(Sequence[Scope], scopes)))
