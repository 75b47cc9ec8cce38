"""A process that makes calls to a Kubernetes API, so many at a time, and prints how long it took.

    python -m tests.benchmarks.bare_calls http://127.0.0.1:8001 create 1000 32 0

The calls are those that a gateway makes for a signal, made with lightkube, or httpx2 for a look-up, and nothing else.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
from lightkube import AsyncClient, KubeConfig
from lightkube.types import PatchType
from tests.benchmarks.signal_load import MANY, one

from signal_gateway.clock import rfc3339
from signal_gateway.gateway.remediation.requests import remediation_request_manifest, remediation_request_name
from signal_gateway.gateway.signals.signal import Signal, Target
from signal_gateway.kubernetes.resources import RemediationRequest, RemediationRequestStatus
from signal_gateway.testing.cluster.kubeconfig import plain_http_kubeconfig

__all__ = ["NAMESPACE"]

NAMESPACE = "bare"


def manifest(number: int) -> dict[str, Any]:
    """Return a RemediationRequest as a gateway makes it."""
    payload = one(f"new-{number}")
    now = datetime.now(UTC)
    signal = Signal(
        name=payload["labels"]["alertname"],
        severity=payload["labels"]["severity"],
        status="firing",
        source="prometheus",
        target=Target(kind="Deployment", name=f"new-{number}", namespace="prod", api_version="apps/v1"),
        namespace="prod",
        labels=payload["labels"],
        annotations=payload["annotations"],
        fired_at=now,
        received_at=now,
        payload=dict(payload),
    )
    assert signal.fingerprint is not None
    return remediation_request_manifest(
        signal,
        name=remediation_request_name(namespace_uid=NAMESPACE, fingerprint=signal.fingerprint),
        namespace=NAMESPACE,
        signal_type="alert",
        idempotency_key="00000000-0000-7000-8000-000000000000/0",
        created_at=rfc3339(now),
    )


class Calls:
    """The calls, by name.

    Args:
        url: Of the API.
    """

    def __init__(self, url: str) -> None:
        self._lightkube = AsyncClient(KubeConfig.from_dict(plain_http_kubeconfig(url)), trust_env=False)
        self._plain = httpx2.AsyncClient(base_url=url, trust_env=False)

    async def create(self, number: int) -> None:
        """Create a RemediationRequest."""
        await self._lightkube.create(RemediationRequest.from_dict(manifest(number)))

    async def get_create(self, number: int) -> None:
        """Look a Deployment up, then create a RemediationRequest."""
        path = f"apis/apps/v1/namespaces/prod/deployments/new-{number}"
        (await self._plain.get(path)).raise_for_status()
        await self.create(number)

    async def patch_one(self, number: int) -> None:
        """Count an occurrence of the same RemediationRequest."""
        await self._patch("bare-0", number)

    async def patch_many(self, number: int) -> None:
        """Count an occurrence of one after another of `MANY`."""
        await self._patch(f"bare-{number % MANY}", number)

    async def prepare(self, _: int) -> None:
        """Create what is patched."""
        for number in range(MANY):
            document = manifest(number)
            document["metadata"]["name"] = f"bare-{number}"
            await self._lightkube.create(RemediationRequest.from_dict(document))

    async def _patch(self, name: str, number: int) -> None:
        patch = {"status": {"deduplication": {"lastSeenAt": rfc3339(datetime.now(UTC)), "occurrenceCount": number + 2}}}
        await self._lightkube.patch(
            RemediationRequestStatus, name, patch, namespace=NAMESPACE, patch_type=PatchType.MERGE
        )


async def call_all(call: Callable[[int], Awaitable[None]], numbers: range, in_flight: int) -> dict[str, Any]:
    """Make a call with each number, so many at a time; return seconds, and the milliseconds of each."""
    waiting = iter(numbers)
    latencies: list[float] = []

    async def call_some() -> None:
        for number in waiting:
            begun_at = time.perf_counter()
            await call(number)
            latencies.append((time.perf_counter() - begun_at) * 1000)

    begin, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(call_some() for _ in range(in_flight)))
    return {
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.process_time() - cpu,
        "latencies": latencies,
    }


async def measured(url: str, name: str, count: int, in_flight: int, first: int) -> dict[str, Any]:
    call = getattr(Calls(url), name)
    return await call_all(call, range(first, first + count), in_flight)


def main(url: str, name: str, *numbers: int) -> None:
    gc.freeze()
    sys.stdout.write(json.dumps(asyncio.run(measured(url, name, *numbers))))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
