"""Problems that several parts of the HTTP layer respond with."""

import math
from typing import Final

from signal_gateway.web.problem import Problem

__all__ = ["RETRY_AFTER_SECONDS", "deadline_passed", "retry_after_header", "unavailable"]

RETRY_AFTER_SECONDS: Final = 5


def retry_after_header(seconds: float | None) -> dict[str, str]:
    """Return the header `Retry-After`; 5 seconds if the time is unknown."""
    return {"Retry-After": str(max(1, math.ceil(RETRY_AFTER_SECONDS if seconds is None else seconds)))}


def unavailable(detail: str, *, retry_after: float | None = None, cause: str | None = None) -> Problem:
    """Return a problem with status 503 and `Retry-After`.

    Args:
        detail: One sentence for the sender.
        retry_after: Seconds until the sender should retry, if known.
        cause: Text for the log that the sender does not get.
    """
    return Problem(503, detail, headers=retry_after_header(retry_after), cause=cause)


def deadline_passed(seconds: float) -> Problem:
    """Return a problem with status 504, for a request that took longer than its deadline."""
    return Problem(504, f"The request took longer than {seconds:g} s. Work that it started continues. Retry later.")
