"""TargetResolver: from the object that a signal names to the workload. Scope: whether the gateway may act on it."""

import logging
from dataclasses import dataclass, replace
from typing import Final, Literal

from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.signals.candidates import Candidate
from signal_gateway.gateway.signals.signal import CLUSTER_API_VERSION, RejectedSignal, Signal, Target, is_object_name
from signal_gateway.gateway.targets.cache import DiscoveryCache, FoundObject, ObjectCache
from signal_gateway.kubernetes import Forbidden, Kind, Kinds, KubernetesError

__all__ = ["MANAGED_LABEL", "Finding", "Resolution", "Scope", "TargetResolver", "Verdict", "describe_finding"]

_log = logging.getLogger(__name__)

MANAGED_LABEL: Final = "kubernaut.ai/managed"

_MAX_STEPS: Final = 5
_MAX_MESSAGE: Final = 300
_WORKLOAD_GROUPS: Final = frozenset({"", "apps", "batch"})
_VERDICTS: Final = {
    "found": "exists",
    "not found": "does not exist",
    "not unique": "exists in several namespaces",
    "exporter": "is the exporter itself",
    "forbidden": "cannot be read",
    "elsewhere": "is in another namespace",
    "gone": "does not exist any more",
}
_NAMESPACE: Final = Kind("Namespace", "", "v1", "namespaces", "namespace", is_namespaced=False)


Verdict = Literal["found", "not found", "not unique", "exporter", "forbidden", "elsewhere", "gone"]
"""The result of the search for one candidate: `exporter` is the pod of the exporter itself; `elsewhere` is an object
of another namespace than its label; `gone` does not exist and is the target, because it may have been deleted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of the search for one candidate.

    Attributes:
        candidate: The candidate.
        verdict: The result.
        found: The object; None if it is not the target.
    """

    candidate: Target
    verdict: Verdict
    found: FoundObject | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """A signal with its workload as the target.

    Attributes:
        signal: The signal. Its target is the top of the owner chain.
        chain: The owner chain, from the object that the signal names up to the target. Empty if no candidate exists.
        findings: The candidates that were searched, in their order.
        has_target: Whether a candidate is an object, or was one a moment ago.
    """

    signal: Signal
    chain: tuple[FoundObject, ...]
    findings: tuple[Finding, ...] = ()
    has_target: bool = True

    def without_target(self) -> RejectedSignal:
        """Return the rejection of a signal whose candidates are no objects."""
        names = ", ".join(describe_finding(finding) for finding in self.findings)
        return RejectedSignal(
            reason="no_target",
            message=f"No label names an object that exists: {names}."[:_MAX_MESSAGE],
            source=self.signal.source,
            resource="",
            name=self.signal.name,
            severity=self.signal.severity,
            labels=self.signal.labels,
            notification=self.signal.notification,
            sender=self.signal.sender,
        )


class TargetResolver:
    """Finds the first candidate of a signal that exists, and the top of its owner chain.

    Args:
        objects: Reads objects.
        discovery: The kinds of the cluster.
        metrics: Counts the resolutions.
    """

    def __init__(self, objects: ObjectCache, *, discovery: DiscoveryCache, metrics: GatewayMetrics) -> None:
        self._objects = objects
        self._discovery = discovery
        self._metrics = metrics
        self._missing_rights: set[tuple[str, str]] = set()

    async def resolve(self, signal: Signal) -> Resolution:
        """Return the signal with the top of the owner chain of its first existing candidate as the target.

        If no candidate exists, the first one that may have been deleted a moment ago becomes the target; if there is
        none, the signal has no target. A candidate that the gateway may not read is skipped if there is another. The
        owner chain ends before an owner that does not exist, has another uid than the reference, is a Node, or is of a
        group without workloads that the gateway may not read.

        Args:
            signal: Has a target, or candidates, or both.

        Raises:
            KubernetesError: An object could not be read, so the target is unknown.
        """
        kinds = self._discovery.kinds()
        candidates = (signal.target, *signal.candidates) if signal.target is not None else signal.candidates
        findings: list[Finding] = []
        try:
            settled = await self._search(candidates, kinds, findings)
            if settled is None:
                self._metrics.count_owner_resolution(None, "no_target")
                if signal.status == "resolved":
                    signal = replace(signal, target=None, candidates=())
                return Resolution(signal, (), tuple(findings), has_target=False)
            if settled.found is None:
                self._count(settled.candidate, kinds, "not_found")
                target = _plain(settled.candidate)
                return Resolution(replace(signal, target=target, candidates=()), (), tuple(findings))
            chain = await self._owner_chain(settled.found, kinds)
        except KubernetesError:
            self._count(candidates[0], kinds, "error")
            raise
        top = chain[-1]
        outcome = "owner" if top is not settled.found else "no_owner"
        self._metrics.count_owner_resolution(settled.candidate.kind, outcome)
        workload = Target(top.kind.name, top.name, top.namespace, top.kind.api_version)
        return Resolution(replace(signal, target=workload, candidates=()), chain, tuple(findings))

    async def _search(self, candidates: tuple[Target, ...], kinds: Kinds, findings: list[Finding]) -> Finding | None:
        """Return the finding that settles the target; None if the candidates are no objects.

        Args:
            candidates: The candidates in their order.
            kinds: The kinds of the cluster.
            findings: Receives the findings.

        Raises:
            KubernetesError: A candidate could not be read, so the target is unknown.
        """
        forbidden: Forbidden | None = None
        for candidate in candidates:
            try:
                finding = await self._find(candidate, kinds)
            except Forbidden as exc:
                self._warn_once(exc, _kind_of(candidate, kinds))
                finding = Finding(candidate, "forbidden")
                if not _must_exist(candidate):
                    forbidden = exc
            findings.append(finding)
            if finding.found is not None:
                return finding
        for index, finding in enumerate(findings):
            if finding.verdict == "not found" and not _must_exist(finding.candidate):
                is_elsewhere = await self._is_elsewhere(finding.candidate, kinds)
                settled = findings[index] = Finding(finding.candidate, "elsewhere" if is_elsewhere else "gone")
                if not is_elsewhere:
                    return settled
        if forbidden is not None:
            raise forbidden
        return None

    async def _find(self, candidate: Target, kinds: Kinds) -> Finding:
        kind = _kind_of(candidate, kinds)
        if kind is None:
            return Finding(candidate, "not found")
        if not isinstance(candidate, Candidate):
            is_possible = bool(candidate.namespace) or not kind.is_namespaced
            candidate = Candidate(
                candidate.kind,
                candidate.name,
                candidate.namespace or None,
                candidate.api_version,
                must_exist=not is_possible,
            )
        if candidate.lookup != "name":
            return await self._find_node(candidate, kind)
        found = None
        if candidate.namespace is not None or not kind.is_namespaced:
            found = await self._objects.find(kind, candidate.name, candidate.namespace)
        if found is None and kind.is_namespaced and (candidate.namespace is None or candidate.is_anywhere):
            everywhere = await self._objects.find_everywhere(kind, candidate.name)
            if len(everywhere) > 1:
                return Finding(candidate, "not unique")
            found = everywhere[0] if everywhere else None
        if found is None:
            return Finding(candidate, "not found")
        if candidate.exporter is not None and await self._is_exporter(candidate):
            return Finding(candidate, "exporter")
        return Finding(candidate, "found", found)

    async def _find_node(self, candidate: Candidate, kind: Kind) -> Finding:
        """Find a node by its name, by an address, or by a pod that runs on it."""
        name: str | None = candidate.name
        if candidate.lookup == "node_of_pod":
            pod = await self._objects.find_pod(candidate.name, candidate.namespace or "")
            name = pod.node_name if pod is not None else None
        found = await self._objects.find(kind, name, None) if name and is_object_name(name) else None
        if found is None and candidate.lookup == "node":
            name = await self._objects.find_node(candidate.name)
            found = await self._objects.find(kind, name, None) if name is not None else None
        return Finding(candidate, "not found" if found is None else "found", found)

    async def _is_exporter(self, candidate: Candidate) -> bool:
        exporter, pod = candidate.exporter, await self._objects.find_pod(candidate.name, candidate.namespace or "")
        if exporter is None or pod is None:
            return False
        if exporter.is_sidecar:  # the pod is the database's, unless it runs the exporter alone
            return all("exporter" in name for name in pod.names)
        is_named = any(match in name for match in exporter.matches for name in pod.names)
        return is_named or candidate.address in pod.addresses

    async def _is_elsewhere(self, candidate: Target, kinds: Kinds) -> bool:
        """Return whether the labels of name and namespace are of two sources: the object is in another namespace.

        Only the address tells a scraped pod from another one of the same name. An object whose namespace may be the
        exporter's is elsewhere if there is one of its name.
        """
        kind = _kind_of(candidate, kinds)
        if kind is None or not isinstance(candidate, Candidate):
            return False
        is_scraped = candidate.label == "pod" and bool(candidate.address)
        if not is_scraped and candidate.is_of_series:
            return False
        try:
            everywhere = await self._objects.find_everywhere(kind, candidate.name)
            if not is_scraped:
                return bool(everywhere)
            for pod in everywhere:
                details = await self._objects.find_pod(candidate.name, pod.namespace or "")
                if details is not None and (not details.addresses or candidate.address in details.addresses):
                    return True
        except Forbidden as exc:
            self._warn_once(exc, kind)
        return False

    async def _owner_chain(self, first: FoundObject, kinds: Kinds) -> tuple[FoundObject, ...]:
        chain = [first]
        for _ in range(_MAX_STEPS):
            reference = chain[-1].controller
            kind = kinds.referred(reference.api_version, reference.kind) if reference is not None else None
            if reference is None or kind is None or kind.name == "Node":  # a static pod is its own workload
                break
            try:
                owner = await self._objects.find(kind, reference.name, first.namespace)
            except Forbidden as exc:
                self._warn_once(exc, kind)
                if kind.group in _WORKLOAD_GROUPS:
                    raise
                break
            if owner is None or owner.uid != reference.uid:
                break
            chain.append(owner)
        return tuple(chain)

    def _warn_once(self, error: Forbidden, kind: Kind | None) -> None:
        """Warn once for each resource that the gateway may not read.

        Args:
            error: The refused call; a node is also found by a pod, which is of the core group like it.
            kind: The kind of the candidate.
        """
        resource = error.resource.partition("/")[0]
        group = kind.group if kind is not None and kind.plural == resource else ""
        if (group, resource) in self._missing_rights:
            return
        self._missing_rights.add((group, resource))
        _log.warning(
            "%s are no targets, because the gateway may not read them: add the rule "
            '{apiGroups: ["%s"], resources: [%s], verbs: [get, list]} to its ClusterRole: %s',
            resource,
            group,
            resource,
            error,
        )

    def _count(self, target: Target, kinds: Kinds, outcome: str) -> None:
        self._metrics.count_owner_resolution(target.kind if _kind_of(target, kinds) is not None else None, outcome)


def _must_exist(candidate: Target) -> bool:
    """Return whether an object that is not found is no target; an Event and an adapter of one's own say its kind."""
    return candidate.must_exist if isinstance(candidate, Candidate) else False


def _plain(candidate: Target) -> Target:
    return Target(candidate.kind, candidate.name, candidate.namespace, candidate.api_version)


def describe_finding(finding: Finding) -> str:
    """Return a candidate with its label and the result of its search, such as `prod/Pod/a (label pod) exists`."""
    candidate = finding.candidate
    name, label = str(_plain(candidate)), ""
    if isinstance(candidate, Candidate):
        label = f" (label {candidate.label})" if candidate.label else ""
        if candidate.lookup == "node_of_pod":
            name = f"Node of pod {candidate.namespace}/{candidate.name}"
    return f"{name}{label} {_VERDICTS[finding.verdict]}"


def _kind_of(target: Target, kinds: Kinds) -> Kind | None:
    """Return the kind of a target, by its name alone if the cluster does not serve the API version of the target."""
    kind = kinds.by_reference.get((target.api_version, target.kind))
    if kind is None:
        group, is_grouped, _ = target.api_version.partition("/")
        named = kinds.called(target.kind.lower())
        if named is not None and (not is_grouped or named.group == group):
            return named
    return kind


class Scope:
    """Decides by the label `kubernaut.ai/managed`, `true` or `false`; any other value counts as no label.

    Args:
        objects: Reads namespaces.
    """

    def __init__(self, objects: ObjectCache) -> None:
        self._objects = objects

    async def rejection(self, resolution: Resolution) -> RejectedSignal | None:
        """Return the reason for which a signal is out of scope; None if it is in scope.

        The first label decides: `false` on any object of the owner chain, then `true` on any object of the owner
        chain, then the label of the namespace. Without a label the target is out of scope.

        Args:
            resolution: The signal and the owner chain of its target.

        Raises:
            KubernetesError: A label could not be read, so the decision is unknown.
        """
        signal, chain = resolution.signal, resolution.chain
        assert signal.target is not None, "a resolved signal has a target"
        top = chain[-1] if chain else None
        opted_out = managed = None
        for found in chain:  # the label nearest to the top is the one to name
            match found.labels.get(MANAGED_LABEL):
                case "false":
                    opted_out = found
                case "true":
                    managed = found
        if opted_out is not None:
            return _rejected(signal, "opted_out", opted_out=opted_out, opt_in=opted_out)
        if managed is not None:
            return None
        if signal.target.namespace is None:
            if signal.target.api_version == CLUSTER_API_VERSION:
                return None  # the setting that makes such targets opts them in
            return _rejected(signal, "not_managed", opt_in=top)
        namespace = await self._objects.find(_NAMESPACE, signal.target.namespace, None)
        value = namespace.labels.get(MANAGED_LABEL) if namespace is not None else None
        if value == "true":
            return None
        if value == "false":
            return _rejected(signal, "opted_out", opted_out=namespace, opt_in=top or namespace)
        return _rejected(signal, "not_managed", opt_in=top or namespace)


def _rejected(
    signal: Signal, reason: str, *, opt_in: FoundObject | None, opted_out: FoundObject | None = None
) -> RejectedSignal:
    if opted_out is not None:
        why = f"{_shown(opted_out)} has the label {MANAGED_LABEL}=false"
    else:
        why = f"neither {signal.target} nor its namespace has the label {MANAGED_LABEL}=true"
    return RejectedSignal(
        reason=reason,
        message=f"The target is out of scope: {why}.",
        source=signal.source,
        resource=str(signal.target),
        name=signal.name,
        severity=signal.severity,
        action=_command(opt_in) if opt_in is not None else "",
    )


def _shown(found: FoundObject) -> str:
    return str(Target(found.kind.name, found.name, found.namespace, found.kind.api_version))


def _command(found: FoundObject) -> str:
    """Return the command that opts an object in."""
    kind = found.kind
    resource = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
    namespace = f" --namespace={found.namespace}" if found.namespace is not None else ""
    overwrite = " --overwrite" if MANAGED_LABEL in found.labels else ""
    return f"kubectl label {resource} {found.name}{namespace} {MANAGED_LABEL}=true{overwrite}"
