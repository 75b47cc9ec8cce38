"""TokenFile: who may read and who may write, from a file that may change while the service runs.

One token a line, `SCOPES TOKEN [NAME]`, where SCOPES is `read`, `write` or `read,write`. A line that starts with `#` is
a comment, empty lines are skipped, and a name is for people only:

    # made with: openssl rand -hex 32
    write       5d41402abc4b2a76b9719d911017c592  gateway
    read,write  7d793037a0760186574b0282f2f435e7  the operators
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast, get_args

from signal_gateway.web.token_file import MAX_TOKEN_FILE_BYTES, MIN_TOKEN_LENGTH, WatchedTokens

__all__ = ["MAX_TOKEN_FILE_BYTES", "MIN_TOKEN_LENGTH", "Scope", "TokenFile"]

Scope = Literal["read", "write"]

_SCOPES: frozenset[str] = frozenset(get_args(Scope))
_NO_SCOPES: frozenset[Scope] = frozenset()


class TokenFile:
    """The tokens of a file and their scopes, read again whenever it has changed.

    Args:
        path: The file; see the module for its form.

    Raises:
        ConfigurationError: The file can't be read, or a line of it breaks a rule; the message says which.
    """

    def __init__(self, path: Path) -> None:
        self._tokens = WatchedTokens(path, read_line=_read_line, form="read,write TOKEN NAME")

    def scopes_of(self, token: bytes) -> frozenset[Scope]:
        """Return what a token is good for: nothing, if it isn't in the file.

        Args:
            token: As it was sent.
        """
        return self._tokens.grant_of(token) or _NO_SCOPES


def _read_line(line: str) -> tuple[str, frozenset[Scope]]:
    words = line.split(maxsplit=2)
    if len(words) < 2:
        raise ValueError("must be SCOPES TOKEN [NAME], such as: read,write 5d41402abc4b2a76b9719d911017c592 operators")
    scopes = words[0].split(",")
    if not set(scopes) <= _SCOPES or len(set(scopes)) != len(scopes):
        raise ValueError("must begin with what the token is good for: read, write or read,write")
    return words[1], frozenset(cast(Sequence[Scope], scopes))
