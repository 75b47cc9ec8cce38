"""`signal-gateway datastorage`."""

from typing import Annotated

import typer

from signal_gateway.commands.output import say

__all__ = ["datastorage"]


def datastorage(
    database: Annotated[str, typer.Option(metavar="URL", help="such as sqlite:///audit.db or postgresql://…")],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="port 0 takes a free one")] = "127.0.0.1:8080",
) -> None:
    """Run DataStorage, the service that keeps audit events."""
    import asyncio

    from signal_gateway.datastorage import create_datastorage
    from signal_gateway.datastorage.database import shown_url
    from signal_gateway.web.serving import AppServer
    from signal_gateway.web.sockets import bind, parse_listen

    async def run() -> None:
        server = AppServer(create_datastorage(database).app, sock=bind(*parse_listen(listen)))
        await server.run(on_start=lambda: say(f"DataStorage on {server.url}, events in {shown_url(database)}"))

    asyncio.run(run())
