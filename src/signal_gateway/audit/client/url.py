"""checked_url: the rules for the URL of a DataStorage."""

import re
from typing import Final

from signal_gateway.errors import ConfigurationError

__all__ = ["checked_url"]

_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
# the usual URLs; httpx checks the others, and its import takes longer than a short command
_USUAL: Final = re.compile(
    rf"https?://(?:{_OCTET}(?:\.{_OCTET}){{3}}|(?!.*xn--)(?:[a-z0-9][a-z0-9-]*\.)*[a-z][a-z0-9-]*)"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?(?:/[a-z0-9._~/-]*)?",
    re.ASCII | re.IGNORECASE,
)
_MAX_PORT: Final = 65535


def checked_url(url: str, source: str) -> str:
    """Return the URL without a trailing slash.

    Args:
        url: URL of a DataStorage.
        source: Source of the URL, for the error message.

    Raises:
        ConfigurationError: The URL is missing or invalid.
    """

    def wrong(problem: str) -> ConfigurationError:
        return ConfigurationError(
            f"DataStorage URL {url!r} (from {source}) {problem}: give a URL such as http://127.0.0.1:8080"
        )

    if not isinstance(url, str) or not url.strip():
        raise wrong("is missing")
    usual = _USUAL.fullmatch(url)
    if usual is not None and int(usual["port"] or 0) <= _MAX_PORT:
        return url.rstrip("/")
    import httpx

    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise wrong(f"is not a URL, {exc}") from exc
    if parsed.scheme not in ("http", "https"):
        raise wrong(f"has the scheme {parsed.scheme!r}, not http or https")
    if not parsed.host:
        raise wrong("has no host")
    if parsed.port == 0:
        raise wrong("has port 0, which nothing listens on")
    if parsed.userinfo:
        raise ConfigurationError(
            f"DataStorage URL for host {parsed.host} (from {source}) has a password in it: use token="
        )
    if parsed.query or parsed.fragment:
        raise wrong("has a query or a fragment")
    return url.strip().rstrip("/")
