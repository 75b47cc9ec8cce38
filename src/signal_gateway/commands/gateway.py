"""`signal-gateway serve` and `signal-gateway config`: run the gateway, check and explain its settings."""

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from signal_gateway.commands.output import say

__all__ = ["check_config", "explain_config", "serve_gateway"]


def serve_gateway(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="YAML file with the settings")],
) -> None:
    """Run the gateway in production, one process per pod.

    After SIGTERM, /readyz reports 503 and the gateway accepts signals for another server.drain_delay seconds. Then it
    completes the requests in flight, delivers the audit events, and exits with status 0. A second SIGTERM or SIGINT
    ends the process at once; undelivered audit events stay in the spool.

    To scale, run more pods: they coordinate through the Kubernetes API. `signal-gateway config explain` lists all
    settings.
    """
    import asyncio

    from signal_gateway.gateway.service.config import ServiceConfig
    from signal_gateway.gateway.service.process import Listening, run_service

    def on_start(listening: Listening) -> None:
        management = listening.management_url
        say(f"gateway on {listening.url}" + (f", health and metrics on {management}" if management else ""))

    asyncio.run(run_service(ServiceConfig.load_from_file(config), on_start=on_start))


def check_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML file, as for `serve --config`")],
) -> None:
    """Check a configuration and the environment variables that override it, without a server or a network.

    The check reads the token files, the kubeconfig and the files of server.tls, imports the adapters, and tries to lock
    a file in the spool directory. Run it where `serve` runs: with the same files and as the same user.
    Exit status 2 means that the configuration is not valid; the output lists all errors, each with its source.
    """
    from signal_gateway.gateway.service.check import check_service
    from signal_gateway.gateway.service.config import ServiceConfig

    check_service(ServiceConfig.load_from_file(file))
    say(f"{file} is a valid configuration")


def explain_config(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="YAML file; without a file, list the defaults", show_default=False),
    ] = None,
) -> None:
    """List every setting with its value, the source of the value, and a description. Secrets are masked.

    An environment variable such as SIGNAL_GATEWAY__PROCESSING__RETRY__MAX_ATTEMPTS overrides
    processing.retry.max_attempts of the file.
    """
    from signal_gateway.gateway.service.config import ServiceConfig
    from signal_gateway.gateway.service.setting_listing import list_settings

    if file is None:
        settings = list_settings(ServiceConfig)
    else:
        config, sources = ServiceConfig.load_with_sources(file)
        settings = list_settings(ServiceConfig, values=config, sources=sources)
    for setting in settings:
        if setting.value is None:
            say(f"{setting.key}: must be set")
        else:
            say(f"{setting.key}: {setting.value}  # {setting.source}")
        say(textwrap.indent(textwrap.fill(setting.description, width=100), "    "))
