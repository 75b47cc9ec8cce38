"""ScopedTokens: a file of tokens with read and write scopes, which may change while the service runs.

One token a line, `SCOPES TOKEN [NAME]`, where SCOPES is `read`, `write` or `read,write`. A line that starts with `#` is
a comment, empty lines are skipped, and the name is a comment for the operator:

    # made with: openssl rand -hex 32
    write       5d41402abc4b2a76b9719d911017c592  gateway
    read,write  7d793037a0760186574b0282f2f435e7  the operators
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast, get_args

from signal_gateway.web.token_file import WatchedTokens

__all__ = ["ScopedTokens", "TokenScope"]

TokenScope = Literal["read", "write"]

_SCOPES: frozenset[str] = frozenset(get_args(TokenScope))
_NO_SCOPES: frozenset[TokenScope] = frozenset()


class ScopedTokens:
    """The tokens of a file and their scopes, read again after each change of the file.

    Args:
        path: The file; the module's docstring describes its format.

    Raises:
        ConfigurationError: The file is not readable, or a line is not valid; the message names the line.
    """

    def __init__(self, path: Path) -> None:
        self._tokens = WatchedTokens(path, format=_ScopedLineFormat())

    def scopes_of(self, token: bytes) -> frozenset[TokenScope]:
        """Return the scopes of a token; an empty set if the token is not in the file.

        Args:
            token: The token of a request.
        """
        return self._tokens.grant_of(token) or _NO_SCOPES


class _ScopedLineFormat:
    """A line with scopes, a token and an optional name."""

    example = "read,write TOKEN NAME"

    def parse(self, line: str) -> tuple[str, frozenset[TokenScope]]:
        words = line.split(maxsplit=2)
        if len(words) < 2:
            raise ValueError(
                "must be SCOPES TOKEN [NAME], such as: read,write 5d41402abc4b2a76b9719d911017c592 operators"
            )
        scopes = words[0].split(",")
        if not set(scopes) <= _SCOPES or len(set(scopes)) != len(scopes):
            raise ValueError("must begin with the scopes of the token: read, write or read,write")
        return words[1], frozenset(cast(Sequence[TokenScope], scopes))
