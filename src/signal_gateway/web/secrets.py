"""Secrets: kept out of what people read, such as logs and the list of settings."""

import re
from typing import Final

__all__ = ["MASK", "is_secret_name", "masked"]

MASK: Final = "***"

_SECRET_NAME: Final = re.compile(
    r"(pass(word|wd|phrase)?|secret|token|api_?key|private_?key|credentials?|authorization|cookie)s?$", re.IGNORECASE
)
# a search begins once in a word, not at each of its letters: others write what is searched, as long as they like
_URL_PASSWORD: Final = re.compile(r"(?P<before>://[^\s/:@]*:)[^\s/]+@")
_BEARER: Final = re.compile(r"(?P<before>\bbearer\s+)[\w.~+/-]+=*", re.IGNORECASE)
_HEADER: Final = re.compile(
    r"(?P<before>\b(?:authorization|cookie)(?:['\"]?\s*[:=]|['\"],)\s*(?:b?['\"])?)[^'\"\r\n]+", re.IGNORECASE
)
_NAMED: Final = re.compile(
    r"(?P<before>(?<![\w-])[\w-]*(?:password|passwd|secret|token|api[_-]?key)"
    r"(?:=|['\"]\s*[:=]\s*)(?:b?['\"])?)[^\s'\",;&]+",
    re.IGNORECASE,
)


# one of them is in whatever the patterns match; most of what is logged, such as ids, has none
_TELLTALES: Final = ("://", "bearer", "authorization", "cookie", "passw", "secret", "token", "key")


def is_secret_name(name: str) -> bool:
    """Return whether what goes by a name is a secret itself; `token` is one, `token_file` is not."""
    return _SECRET_NAME.search(name.replace("-", "_")) is not None


def masked(text: str) -> str:
    """Return a text in which stars stand for bearer tokens, passwords in URLs, and what is named like a secret."""
    if text.isascii():  # beyond ASCII there are letters that match others, such as the long s, and stay in lower case
        lowered = text.lower()
        if not any(telltale in lowered for telltale in _TELLTALES):
            return text
    for pattern in (_HEADER, _BEARER):
        text = pattern.sub(rf"\g<before>{MASK}", text)
    text = _URL_PASSWORD.sub(rf"\g<before>{MASK}@", text)
    return _NAMED.sub(rf"\g<before>{MASK}", text)
