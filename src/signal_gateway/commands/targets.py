"""`signal-gateway explain-target`: show which object the gateway takes for an alert, and why."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signal_gateway.commands.output import say
from signal_gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from signal_gateway.gateway.targets.explanation import Explanation

__all__ = ["explain_target"]


def explain_target(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="JSON or YAML: the labels of an alert, an alert, or an Alertmanager webhook"
        ),
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="the configuration of `serve`: its cluster and processing.targets"
        ),
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option("--kubeconfig", metavar="FILE", help="the cluster; by default that of --config")
    ] = None,
) -> None:
    """Show the candidates of each alert, the result of the search for each, and the target.

    Nothing is written to the cluster. The command reads it with the rights of the kubeconfig, which may be more than
    the gateway has.
    """
    import asyncio

    from signal_gateway.gateway.config import GatewayConfig
    from signal_gateway.gateway.service.config import ServiceConfig
    from signal_gateway.gateway.targets.explanation import explain_targets
    from signal_gateway.kubernetes import KubernetesClient

    settings: GatewayConfig = GatewayConfig()
    if config is not None:
        service = ServiceConfig.load_from_file(config)
        settings, kubeconfig = service.gateway, kubeconfig or service.kubernetes.kubeconfig
    if kubeconfig is None and config is None:
        raise ConfigurationError("explain-target needs a cluster: pass --kubeconfig FILE or --config FILE")
    alerts = _read_labels(file)

    async def explain() -> "list[Explanation]":
        client = KubernetesClient.in_cluster() if kubeconfig is None else KubernetesClient.from_kubeconfig(kubeconfig)
        async with client as kubernetes:
            return await explain_targets(alerts, config=settings.processing, kubernetes=kubernetes)

    for explanation in asyncio.run(explain()):
        for line in explanation.lines():
            say(line)


def _read_labels(file: Path) -> list[dict[str, str]]:
    """Return the labels of each alert of a file."""
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))  # JSON is YAML
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ConfigurationError(f"{file} cannot be read as JSON or YAML: {exc}") from exc
    common: dict[str, Any] = {}
    if isinstance(content, dict) and isinstance(content.get("alerts"), list):
        common = content.get("commonLabels") or {}
        content = content["alerts"]
    alerts = content if isinstance(content, list) else [content]
    found = []
    for alert in alerts:
        labels = alert.get("labels", alert) if isinstance(alert, dict) else None
        if not isinstance(labels, dict):
            raise ConfigurationError(f"{file} has no labels: it must be a mapping of labels, an alert, or a webhook")
        found.append({str(key): str(value) for key, value in {**common, **labels}.items()})
    return found
