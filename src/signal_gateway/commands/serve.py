"""`signal-gateway serve`."""

from pathlib import Path
from typing import Annotated

import typer

from signal_gateway.commands.output import say

__all__ = ["serve"]


def serve(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="YAML file; see the README")],
) -> None:
    """Run the gateway in production, one process in a pod.

    SIGTERM makes it not ready, lets it take signals for server.drain_delay seconds, finish what is in flight and
    deliver the audit events, and it exits with 0. A second signal ends it at once; what is undelivered stays in the
    spool.

    One process serves the whole pod: one loop, one view of the RemediationRequests, one audit store with one spool. For
    more, run more pods: they agree through the Kubernetes API. `signal-gateway config explain` tells every setting.
    """
    import asyncio

    from signal_gateway.gateway.service.config import ServiceConfig
    from signal_gateway.gateway.service.process import Listening, run_service

    def on_start(listening: Listening) -> None:
        management = listening.management_url
        say(f"gateway on {listening.url}" + (f", health and metrics on {management}" if management else ""))

    asyncio.run(run_service(ServiceConfig.load_from_file(config), on_start=on_start))
