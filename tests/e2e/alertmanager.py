"""A real Alertmanager."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml
from tests.e2e.part import Part, ReservedPort

__all__ = ["Labels", "alertmanager_part", "alerts_of", "fire", "notifying", "post", "resolve"]

Labels = Mapping[str, str]

_SENT = ("labels", "annotations", "startsAt", "endsAt", "generatorURL")
_NOT_ENDED = "0001-01-01T00:00:00Z"


def notifying(webhook_url: str, *, group_wait: str = "0s", group_interval: str = "1s") -> dict[str, Any]:
    """Return a configuration that notifies one webhook, by default at once.

    Args:
        webhook_url: The URL.
        group_wait: Time before the first notification of a group.
        group_interval: Time between notifications of a group. Alertmanager gives up retries, and cancels a request,
            after this time, but not before 10 seconds.
    """
    return {
        "route": {
            "receiver": "gateway",
            "group_by": ["alertname"],
            "group_wait": group_wait,
            "group_interval": group_interval,
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "gateway", "webhook_configs": [{"url": webhook_url, "send_resolved": True}]}],
    }


def alertmanager_part(
    program: str,
    directory: Path,
    *,
    port: ReservedPort,
    configuration: Mapping[str, Any],
    cluster: Sequence[ReservedPort] = (),
) -> Part:
    """Return an Alertmanager that keeps its files in a directory.

    Args:
        program: The program.
        directory: An existing directory.
        port: The port of its API.
        configuration: Its configuration.
        cluster: The ports of a cluster of Alertmanagers, its own first; empty for one that is alone.
    """
    file = directory / "alertmanager.yml"
    file.write_text(yaml.safe_dump(dict(configuration)))
    command = [
        program,
        f"--config.file={file}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address={port.address}",
        f"--cluster.listen-address={cluster[0].address if cluster else ''}",
        *[f"--cluster.peer={peer.address}" for peer in cluster[1:]],
        "--cluster.peer-timeout=1s",
        "--cluster.settle-timeout=1s",
    ]
    return Part(command, port=port, until='msg="Listening on"')


def fire(alertmanager: Part, *labels: Labels) -> None:
    """Send alerts that began to fire a minute ago."""
    began = _ago(minutes=1)
    post(alertmanager, [{"labels": one, "startsAt": began} for one in labels])


def resolve(alertmanager: Part, *labels: Labels) -> None:
    """Send alerts that ended a second ago."""
    began, ended = _ago(minutes=1), _ago(seconds=1)
    post(alertmanager, [{"labels": one, "startsAt": began, "endsAt": ended} for one in labels])


def post(alertmanager: Part, alerts: Iterable[Mapping[str, Any]]) -> None:
    """Send alerts as Prometheus does; of ours, the members that it sends."""
    bodies = [{name: one[name] for name in _SENT if one.get(name, _NOT_ENDED) != _NOT_ENDED} for one in alerts]
    response = httpx.post(f"{alertmanager.url}/api/v2/alerts", json=bodies, trust_env=False)
    assert response.status_code == 200, response.text


def alerts_of(alertmanager: Part) -> list[Any]:
    """Return the alerts that it has, and that have not ended."""
    alerts: list[Any] = httpx.get(f"{alertmanager.url}/api/v2/alerts", trust_env=False).json()
    return alerts


def _ago(**interval: float) -> str:
    return (datetime.now(UTC) - timedelta(**interval)).isoformat()
