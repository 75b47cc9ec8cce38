"""TargetResolver: from the object that a signal names to the workload. Scope: whether the gateway may act on it."""

from dataclasses import dataclass, replace
from typing import Final

from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.signals.signal import CLUSTER_API_VERSION, RejectedSignal, Signal, Target
from signal_gateway.gateway.targets.cache import DiscoveryCache, FoundObject, ObjectCache, OwnerReference
from signal_gateway.kubernetes import Forbidden, Kind, Kinds, KubernetesError

__all__ = ["MANAGED_LABEL", "Resolution", "Scope", "TargetResolver"]

MANAGED_LABEL: Final = "kubernaut.ai/managed"

_MAX_STEPS: Final = 5
_OWNING_GROUPS: Final = frozenset({"", "apps", "batch", "autoscaling", "policy"})
_NAMESPACE: Final = Kind("Namespace", "", "v1", "namespaces", "namespace", is_namespaced=False)


@dataclass(frozen=True, slots=True)
class Resolution:
    """A signal with its workload as the target.

    Attributes:
        signal: The signal. Its target is the top of the owner chain.
        chain: The owner chain, from the object that the signal names up to the target. Empty if no candidate exists.
    """

    signal: Signal
    chain: tuple[FoundObject, ...]


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

    async def resolve(self, signal: Signal) -> Resolution:
        """Return the signal with the top of the owner chain of its first existing candidate as the target.

        If no candidate exists, the first one becomes the target. A candidate of a kind that the gateway may not read is
        skipped if there is another. The owner chain ends before an owner that does not exist, has another uid than the
        reference, or belongs to an API group without workloads.

        Args:
            signal: Has a target, and may have further candidates.

        Raises:
            KubernetesError: An object could not be read, so the target is unknown.
        """
        assert signal.target is not None, "only a signal with a target can be resolved"
        kinds = self._discovery.kinds()
        try:
            target, found = await self._first_existing((signal.target, *signal.candidates), kinds)
            if found is None:
                self._count(target, kinds, "not_found")
                return Resolution(replace(signal, target=target, candidates=()), ())
            chain = await self._owner_chain(found, kinds)
        except KubernetesError:
            self._count(signal.target, kinds, "error")
            raise
        top = chain[-1]
        self._count(target, kinds, "owner" if top is not found else "no_owner")
        workload = Target(
            kind=top.kind.name,
            name=top.name,
            namespace=target.namespace if top.kind.is_namespaced else None,
            api_version=top.kind.api_version,
        )
        return Resolution(replace(signal, target=workload, candidates=()), chain)

    async def _first_existing(self, candidates: tuple[Target, ...], kinds: Kinds) -> tuple[Target, FoundObject | None]:
        readable: list[Target] = []
        forbidden: Forbidden | None = None
        for candidate in candidates:
            kind = _kind_of(candidate, kinds)
            if kind is None or (kind.is_namespaced and not candidate.namespace):
                readable.append(candidate)  # such an object cannot exist
                continue
            try:
                found = await self._objects.find(kind, candidate.name, candidate.namespace)
            except Forbidden as exc:
                forbidden = exc
                continue
            readable.append(candidate)
            if found is not None:
                return candidate, found
        if readable:
            return readable[0], None
        assert forbidden is not None, "there is at least one candidate"
        raise forbidden

    async def _owner_chain(self, first: FoundObject, kinds: Kinds) -> tuple[FoundObject, ...]:
        chain = [first]
        for _ in range(_MAX_STEPS):
            reference = chain[-1].controller
            kind = _owning_kind(reference, kinds) if reference is not None else None
            if reference is None or kind is None:
                break
            owner = await self._objects.find(kind, reference.name, first.namespace)
            if owner is None or owner.uid != reference.uid:
                break
            chain.append(owner)
        return tuple(chain)

    def _count(self, target: Target, kinds: Kinds, outcome: str) -> None:
        self._metrics.count_owner_resolution(target.kind if _kind_of(target, kinds) is not None else None, outcome)


def _kind_of(target: Target, kinds: Kinds) -> Kind | None:
    """Return the kind of a target, by its name alone if the cluster does not serve the API version of the target."""
    kind = kinds.referred(target.api_version, target.kind)
    if kind is None:
        group, is_grouped, _ = target.api_version.partition("/")
        named = kinds.called(target.kind.lower())
        if named is not None and (not is_grouped or named.group == group):
            return named
    return kind


def _owning_kind(reference: OwnerReference, kinds: Kinds) -> Kind | None:
    group = reference.api_version.rpartition("/")[0]
    return kinds.referred(reference.api_version, reference.kind) if group in _OWNING_GROUPS else None


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
