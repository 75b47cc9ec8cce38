"""`signal-gateway demo`."""

from typing import Annotated

import typer

from signal_gateway.commands.output import wide_console

__all__ = ["demo"]


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="leave everything running until Ctrl-C")] = False,
) -> None:
    """Start everything embedded on loopback, send alerts, and show what became of them."""
    from signal_gateway.demo import run_demo

    run_demo(wide_console(markup=True), keep=keep)
