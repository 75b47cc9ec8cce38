"""IDLE_SECONDS: how long an idle HTTP connection may be reused."""

from typing import Final

__all__ = ["IDLE_SECONDS"]

IDLE_SECONDS: Final = 3.0
"""Servers such as uvicorn close an idle connection after 5 seconds. A request sent at that moment gets no response, and
the default of httpx is 5 seconds, too."""
