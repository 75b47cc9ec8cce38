"""Headers of every response: the date, the request id and the security headers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

__all__ = ["NO_PAGES", "OWN_PAGES", "REQUEST_ID_HEADER", "http_date", "security_headers"]

REQUEST_ID_HEADER = "X-Request-ID"

OWN_PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content security policy of a service with pages: scripts, styles and images come from the service alone, and inline
scripts do not run."""

NO_PAGES = "default-src 'none'; frame-ancestors 'none'"
"""Content security policy of a service without pages."""

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_HEADERS: Mapping[str, str] = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def http_date(moment: datetime) -> str:
    """Return a time in UTC as an HTTP date: `Sun, 06 Nov 1994 08:49:37 GMT`. Source: RFC 9110, 5.6.7.

    `email.utils.formatdate` reads `datetime.datetime` at each call, which a test may patch.
    """
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S} GMT"


def security_headers(content_security_policy: str) -> dict[str, str]:
    """Return the security headers of every response.

    Args:
        content_security_policy: `OWN_PAGES` or `NO_PAGES`.
    """
    return {"Content-Security-Policy": content_security_policy, **_HEADERS}
