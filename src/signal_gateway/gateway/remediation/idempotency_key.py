"""A signal's mark, by which a log line and a RemediationRequest tell which signal of which request they come from."""

__all__ = ["mark_of", "request_id_of"]


def mark_of(request_id: str, index: int) -> str:
    """Return what is unique to one signal of one request.

    Args:
        request_id: The request's.
        index: The signal's place in it.
    """
    return f"{request_id}/{index}"


def request_id_of(mark: str) -> str:
    """Return the id of the request that a signal came in."""
    return mark.partition("/")[0]
