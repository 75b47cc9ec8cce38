"""`signal-gateway apiserver`: run the embedded Kubernetes API for local work with kubectl."""

from pathlib import Path
from typing import Annotated

import typer

from signal_gateway.commands.output import say
from signal_gateway.errors import ApiServerError, ConfigurationError, HarnessError

__all__ = ["serve_apiserver"]


def serve_apiserver(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="loopback address; port 0 selects a free port")
    ] = "127.0.0.1:0",
    crd: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="YAML with definitions or other objects; repeatable")
    ] = None,
    kubeconfig: Annotated[Path | None, typer.Option(metavar="OUT", help="write a kubeconfig to this file")] = None,
) -> None:
    """Run an in-memory Kubernetes API with the RemediationRequest CRD until Ctrl-C."""
    import asyncio

    import yaml

    from signal_gateway.apiserver import create_apiserver
    from signal_gateway.kubernetes import crd_manifest
    from signal_gateway.testing.cluster.kubeconfig import plain_http_kubeconfig
    from signal_gateway.testing.cluster.manifests import read_manifests
    from signal_gateway.web.serving.app_server import AppServer
    from signal_gateway.web.serving.sockets import bind, is_loopback, parse_listen
    from signal_gateway.web.serving.stop_signals import StopSignals

    try:
        api = create_apiserver(crds=[crd_manifest()])
        for manifest in read_manifests(crd or []):
            api.install(manifest)
    except (ApiServerError, HarnessError) as exc:
        raise ConfigurationError(str(exc)) from exc
    sock = bind(*parse_listen(listen))
    if not is_loopback(sock):
        sock.close()
        raise ConfigurationError(f"{listen} can be reached from other machines, and this API has no access control")
    server = AppServer(api.app, sock=sock, streams=api)
    if kubeconfig is not None:
        _write(kubeconfig, yaml.safe_dump(plain_http_kubeconfig(server.url)))

    def on_start() -> None:
        say(f"Kubernetes API on {server.url}, in memory")
        say(f"kubectl --kubeconfig {kubeconfig} get all" if kubeconfig else f"kubectl --server {server.url} get all")

    async def run() -> None:
        with StopSignals() as stop:
            await server.run(until=stop.requested, on_start=on_start)

    asyncio.run(run())


def _write(path: Path, text: str) -> None:
    """Write a kubeconfig. An existing file is replaced only if this command wrote it."""
    try:
        if path.exists() and "current-context: embedded" not in path.read_text(encoding="utf-8"):
            raise ConfigurationError(f"--kubeconfig {path} exists and is not from this command: name another file")
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"cannot write the kubeconfig {path}: {exc}") from exc
