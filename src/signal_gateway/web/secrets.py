"""Masking of secrets in text for people, such as logs and the list of settings."""

import re
from typing import Final

__all__ = ["MASK", "is_secret_name", "masked"]

MASK: Final = "***"

_SECRET_NAME: Final = re.compile(
    r"(pass(word|wd|phrase)?|secret|token|api_?key|private_?key|credentials?|authorization|cookie)s?$", re.IGNORECASE
)
# each search starts once per word, not at each letter: the text is untrusted and can be long
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


# every match of the patterns contains one of these; most logged text, such as ids, contains none
_TELLTALES: Final = ("://", "bearer", "authorization", "cookie", "passw", "secret", "token", "key")


def is_secret_name(name: str) -> bool:
    """Return whether a value with this name is a secret; `token` is a secret, `token_file` is not."""
    return _SECRET_NAME.search(name.replace("-", "_")) is not None


def masked(text: str) -> str:
    """Return a text with `***` in place of bearer tokens, passwords in URLs, and values with the name of a secret."""
    if text.isascii():  # outside ASCII, some letters match others, such as the long s, and lower() keeps them
        lowered = text.lower()
        if not any(telltale in lowered for telltale in _TELLTALES):
            return text
    for pattern in (_HEADER, _BEARER):
        text = pattern.sub(rf"\g<before>{MASK}", text)
    text = _URL_PASSWORD.sub(rf"\g<before>{MASK}@", text)
    return _NAMED.sub(rf"\g<before>{MASK}", text)
