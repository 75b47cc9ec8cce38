"""explain_targets: the candidates of alerts, the result of the search for each, and the targets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from signal_gateway.clock import SystemClock
from signal_gateway.concurrency import BackgroundTasks
from signal_gateway.gateway.config import ProcessingConfig
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.resilience import ApiCalls
from signal_gateway.gateway.signals.candidates import Candidate, candidates_from_labels
from signal_gateway.gateway.signals.label_table import LabelTable
from signal_gateway.gateway.signals.signal import Signal, Target
from signal_gateway.gateway.targets.cache import DiscoveryCache, ObjectCache
from signal_gateway.gateway.targets.resolver import Resolution, TargetResolver, describe_finding
from signal_gateway.kubernetes import KubernetesClient

__all__ = ["Explanation", "explain_targets"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The way from the labels of one alert to its target.

    Attributes:
        name: The name of the alert.
        exporter: The exporter that the labels show; None for one that speaks of its own pod.
        candidates: The candidates in their order.
        resolution: The result of the search; None without candidates.
    """

    name: str
    exporter: str | None
    candidates: tuple[Candidate, ...]
    resolution: Resolution | None

    def lines(self) -> Iterator[str]:
        """Yield the explanation in lines for a reader."""
        yield f"{self.name or 'alert without a name'}: exporter {self.exporter or 'unknown, it speaks of its own pod'}"
        findings = self.resolution.findings if self.resolution is not None else ()
        for number, candidate in enumerate(self.candidates, 1):
            verdict = (
                describe_finding(findings[number - 1]) if number <= len(findings) else f"{candidate} was not searched"
            )
            yield f"  {number}. {verdict}"
        if self.resolution is None or not self.resolution.has_target:
            yield "  no target: the gateway rejects the alert with no_target"
            return
        for found in self.resolution.chain[1:]:
            yield f"  owner: {Target(found.kind.name, found.name, found.namespace, found.kind.api_version)}"
        yield f"  target: {self.resolution.signal.target}"


async def explain_targets(
    alerts: Sequence[Mapping[str, str]], *, config: ProcessingConfig, kubernetes: KubernetesClient
) -> list[Explanation]:
    """Search the targets of alerts, and write nothing.

    Args:
        alerts: The labels of each alert.
        config: The settings of the gateway.
        kubernetes: The client.

    Raises:
        KubernetesError: The cluster or an object could not be read.
    """
    clock, tasks, metrics = SystemClock(), BackgroundTasks(), GatewayMetrics(CollectorRegistry())
    discovery = DiscoveryCache(kubernetes, clock=clock, tasks=tasks, observer=metrics)
    await discovery.load()
    calls = ApiCalls(retry=config.retry, breaker=None, clock=clock)
    objects = ObjectCache(
        kubernetes, calls=calls, max_age=config.cache_max_age, clock=clock, tasks=tasks, observer=metrics
    )
    resolver = TargetResolver(objects, discovery=discovery, metrics=metrics)
    table, explanations = LabelTable(config.targets), []
    for labels in alerts:
        exporter = table.exporter(labels)
        candidates = candidates_from_labels(labels, discovery.kinds(), table)
        resolution = None
        if candidates:
            resolution = await resolver.resolve(_signal(labels, candidates, clock))
        name = labels.get("alertname", "")
        explanations.append(Explanation(name, exporter.name if exporter is not None else None, candidates, resolution))
    await tasks.settle()
    return explanations


def _signal(labels: Mapping[str, str], candidates: tuple[Candidate, ...], clock: SystemClock) -> Signal:
    now = clock.now()
    return Signal(
        name=labels.get("alertname") or "alert",
        severity="unknown",
        status="firing",
        source="explain-target",
        target=None,
        candidates=candidates,
        namespace=None,
        labels=labels,
        annotations={},
        fired_at=now,
        received_at=now,
        payload={},
    )
