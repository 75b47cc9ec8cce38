"""`signal-gateway serve`."""

from pathlib import Path
from typing import Annotated

import typer

from signal_gateway.commands.output import say

__all__ = ["serve"]


def serve(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="YAML file; see the README")],
) -> None:
    """Run the gateway in production: SIGTERM finishes what is in flight, flushes the audit store and exits with 0."""
    import asyncio

    from signal_gateway.gateway.service import run_service
    from signal_gateway.gateway.service_config import ServiceConfig

    service = ServiceConfig.load_from_file(config)
    asyncio.run(run_service(service, on_start=lambda url: say(f"gateway on {url}")))
