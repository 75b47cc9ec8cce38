"""For how long clients use an idle connection again."""

from typing import Final

__all__ = ["IDLE_SECONDS"]

IDLE_SECONDS: Final = 3.0
"""uvicorn and others close one after 5 seconds, and a request that is just on its way then gets no answer; httpx's own
default is 5 seconds, too."""
