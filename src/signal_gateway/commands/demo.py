"""`signal-gateway demo`."""

from typing import Annotated

import typer

__all__ = ["demo"]

_LEAST_WIDTH = 110  # columns, for a row of a table; a narrower terminal wraps it


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="leave everything running until Ctrl-C")] = False,
) -> None:
    """Start everything embedded on loopback, send alerts, and show what became of them."""
    from rich.console import Console

    from signal_gateway.demo import run_demo

    run_demo(Console(width=max(Console().width, _LEAST_WIDTH)), keep=keep)
