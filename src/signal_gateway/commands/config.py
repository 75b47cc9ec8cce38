"""`signal-gateway config`: the settings of `serve`, looked at before it runs."""

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from signal_gateway.commands.output import say

__all__ = ["check_config", "explain_config"]


def check_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML file, as `serve --config` takes it")],
) -> None:
    """Check a configuration, with the variables that override it, without a server and without a network.

    The files of server.tls are read, and adapters are imported, too.
    Exit status 2 says that it is wrong; everything that is wrong is listed, each with its source.
    """
    from signal_gateway.gateway.service.config import ServiceConfig
    from signal_gateway.gateway.signals.registry import load_adapters

    config = ServiceConfig.load_from_file(file)
    config.server.tls.load()
    load_adapters(config.adapters)
    say(f"{file} is a configuration that the gateway can be served with")


def explain_config(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="YAML file; without one, the defaults are shown", show_default=False),
    ] = None,
) -> None:
    """Show every setting: its value, where that comes from, and what it is about; a secret's value is not shown.

    A variable such as SIGNAL_GATEWAY__PROCESSING__RETRY__MAX_ATTEMPTS overrides the file's
    processing.retry.max_attempts.
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
