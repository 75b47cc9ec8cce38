"""Our two services as a user runs them: commands with their files."""

import sys
from pathlib import Path

import yaml
from tests.e2e.part import Part, ReservedPort

__all__ = ["datastorage_part", "gateway_part"]

_COMMAND = [sys.executable, "-m", "signal_gateway"]


def gateway_part(file: Path, *, port: ReservedPort, kubeconfig: Path, datastorage: ReservedPort, spool: Path) -> Part:
    """Return a `signal-gateway serve` that acts on managed workloads.

    Args:
        file: For its configuration.
        port: Where it listens.
        kubeconfig: For its Kubernetes.
        datastorage: Where its audit events go.
        spool: Where they wait.
    """
    settings = {
        "server": {"listen": port.address},
        "kubernetes": {"kubeconfig": str(kubeconfig)},
        "audit": {"datastorage_url": datastorage.url, "spool_directory": str(spool)},
        "processing": {"breaker": {"open_for": 1}},
        "logging": {"level": "warning"},
    }
    file.write_text(yaml.safe_dump(settings))
    return Part([*_COMMAND, "serve", "--config", str(file)], port=port, until="gateway on")


def datastorage_part(*, port: ReservedPort, database: str) -> Part:
    """Return a `signal-gateway datastorage`."""
    command = [*_COMMAND, "datastorage", "--database", database, "--listen", port.address]
    return Part(command, port=port, until="DataStorage on")
