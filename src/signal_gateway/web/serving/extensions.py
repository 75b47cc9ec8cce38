"""Names of what `AppServer` adds to the `extensions` of an ASGI scope."""

from typing import Final

__all__ = ["ABORT"]

ABORT: Final = "signal_gateway.abort"
"""A function without arguments that closes the request's connection at once."""
