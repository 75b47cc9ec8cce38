"""Headers of every response: the request id and the security headers."""

from collections.abc import Mapping

__all__ = ["NO_PAGES", "OWN_PAGES", "REQUEST_ID_HEADER", "security_headers"]

REQUEST_ID_HEADER = "X-Request-ID"

OWN_PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content security policy of a service with pages: scripts, styles and images come from the service alone, and inline
scripts do not run."""

NO_PAGES = "default-src 'none'; frame-ancestors 'none'"
"""Content security policy of a service without pages."""

_HEADERS: Mapping[str, str] = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def security_headers(content_security_policy: str) -> dict[str, str]:
    """Return the security headers of every response.

    Args:
        content_security_policy: `OWN_PAGES` or `NO_PAGES`.
    """
    return {"Content-Security-Policy": content_security_policy, **_HEADERS}
