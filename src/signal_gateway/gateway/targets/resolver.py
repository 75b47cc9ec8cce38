"""TargetLocator: from what a signal names to the workload that is to be remedied."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from signal_gateway.gateway.signals.signal import Signal
from signal_gateway.gateway.signals.target import Target
from signal_gateway.gateway.targets.object_cache import FoundObject, ObjectLookup, OwnerReference
from signal_gateway.kubernetes import Forbidden, Kind, Kinds, KubernetesError

__all__ = ["Located", "TargetLocator"]

_MAX_STEPS: Final = 5
_OWNING_GROUPS: Final = frozenset({"", "apps", "batch", "autoscaling", "policy"})


@dataclass(frozen=True, slots=True)
class Located:
    """A signal whose target is the workload at the top.

    Attributes:
        signal: The signal, with that target.
        chain: The objects on the way, from the one that the signal names up to the target. Empty if none exists.
    """

    signal: Signal
    chain: tuple[FoundObject, ...]


class TargetLocator:
    """Finds out which of a signal's candidates exists, and who owns it.

    Args:
        lookup: Reads objects.
        kinds: Returns the kinds of the cluster.
        note: Told of each resolution the kind it began with, None for one that the cluster does not have, and its
            outcome: `owner`, `no_owner`, `not_found` or `error`.
    """

    def __init__(
        self, lookup: ObjectLookup, *, kinds: Callable[[], Kinds], note: Callable[[str | None, str], None]
    ) -> None:
        self._lookup = lookup
        self._kinds = kinds
        self._note = note

    async def locate(self, signal: Signal) -> Located:
        """Take the first candidate that exists and follow its controllers up to the top.

        If none exists, the first candidate is the target, as it is. A candidate whose kind we may not read is passed
        over while there are others. An owner that is gone, that is not the one referred to, or that is of a group in
        which no workloads are, ends the way before it.

        Args:
            signal: Has a target, and may have further candidates.

        Raises:
            KubernetesError: An object could not be read. What is the target is not guessed then.
        """
        assert signal.target is not None, "a signal that is to be located has a target"
        kinds = self._kinds()
        try:
            target, found = await self._first_that_exists((signal.target, *signal.candidates), kinds)
            if found is None:
                self._count(target, kinds, "not_found")
                return Located(replace(signal, target=target, candidates=()), ())
            chain = await self._chain(found, kinds)
        except KubernetesError:
            self._count(signal.target, kinds, "error")
            raise
        self._count(target, kinds, "owner" if len(chain) > 1 else "no_owner")
        return Located(replace(signal, target=_target(chain[-1], target.namespace), candidates=()), chain)

    async def _first_that_exists(
        self, candidates: tuple[Target, ...], kinds: Kinds
    ) -> tuple[Target, FoundObject | None]:
        readable: list[Target] = []
        forbidden: Forbidden | None = None
        for candidate in candidates:
            kind = _kind_of(candidate, kinds)
            if kind is None or (kind.is_namespaced and not candidate.namespace):
                readable.append(candidate)  # there can be none
                continue
            try:
                found = await self._lookup.find(kind, candidate.name, candidate.namespace)
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

    async def _chain(self, first: FoundObject, kinds: Kinds) -> tuple[FoundObject, ...]:
        chain = [first]
        for _ in range(_MAX_STEPS):
            reference = chain[-1].controller
            kind = _owning_kind(reference, kinds) if reference is not None else None
            if reference is None or kind is None:
                break
            owner = await self._lookup.find(kind, reference.name, first.namespace)
            if owner is None or owner.uid != reference.uid:
                break
            chain.append(owner)
        return tuple(chain)

    def _count(self, target: Target, kinds: Kinds, outcome: str) -> None:
        self._note(target.kind if _kind_of(target, kinds) is not None else None, outcome)


def _kind_of(target: Target, kinds: Kinds) -> Kind | None:
    """Return the kind of a target; that of its name if the source gave no version or one that is served no more."""
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


def _target(top: FoundObject, namespace: str | None) -> Target:
    return Target(
        kind=top.kind.name,
        name=top.name,
        namespace=namespace if top.kind.is_namespaced else None,
        api_version=top.kind.api_version,
    )
