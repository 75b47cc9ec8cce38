"""Scope: which targets the gateway may act on, by the label that their owners set."""

from collections.abc import Sequence
from typing import Final

from signal_gateway.gateway.signals.signal import RejectedSignal, Signal
from signal_gateway.gateway.signals.target import Target
from signal_gateway.gateway.targets.object_cache import FoundObject, ObjectLookup
from signal_gateway.gateway.targets.resolver import Located
from signal_gateway.kubernetes import Kind

__all__ = ["MANAGED_LABEL", "Scope"]

MANAGED_LABEL: Final = "kubernaut.ai/managed"

_NAMESPACE: Final = Kind("Namespace", "", "v1", "namespaces", "namespace", is_namespaced=False)


class Scope:
    """Reads the label `kubernaut.ai/managed`, `true` or `false`; any other value counts as none.

    Args:
        lookup: Reads namespaces.
    """

    def __init__(self, lookup: ObjectLookup) -> None:
        self._lookup = lookup

    async def objection(self, located: Located) -> RejectedSignal | None:
        """Say why nothing may be done about a signal; None if it is in scope.

        Somebody's `false` holds, whether it is on the target or on what it owns and the signal names; else
        somebody's `true`; else what the namespace says; else the target is not managed.

        Args:
            located: The signal, and the objects between what it names and its target.

        Raises:
            KubernetesError: A label could not be read: what it says is not guessed.
        """
        signal, chain = located.signal, located.chain
        assert signal.target is not None, "a located signal has a target"
        refusing = _with_label(chain, "false")
        if refusing is None:
            if _with_label(chain, "true") is not None:
                return None
            namespace = await self._namespace(signal.target.namespace)
            if namespace is None:
                return _rejected(signal, "not_managed", refusing=None, opt_in=chain[-1] if chain else None)
            value = namespace.labels.get(MANAGED_LABEL)
            if value == "true":
                return None
            if value != "false":
                return _rejected(signal, "not_managed", refusing=None, opt_in=chain[-1] if chain else namespace)
            refusing = namespace
        opt_in = chain[-1] if chain and refusing.kind == _NAMESPACE else refusing
        return _rejected(signal, "opted_out", refusing=refusing, opt_in=opt_in)

    async def _namespace(self, name: str | None) -> FoundObject | None:
        return await self._lookup.find(_NAMESPACE, name, None) if name is not None else None


def _with_label(chain: Sequence[FoundObject], value: str) -> FoundObject | None:
    return next((found for found in reversed(chain) if found.labels.get(MANAGED_LABEL) == value), None)


def _rejected(
    signal: Signal, reason: str, *, refusing: FoundObject | None, opt_in: FoundObject | None
) -> RejectedSignal:
    if refusing is not None:
        why = f"{_shown(refusing)} has the label {MANAGED_LABEL}=false"
    else:
        why = f"neither {signal.target} nor its namespace has the label {MANAGED_LABEL}=true"
    return RejectedSignal(
        reason=reason,
        message=f"Nothing is done: {why}.",
        source=signal.source,
        resource=str(signal.target),
        name=signal.name,
        severity=signal.severity,
        action=_command(opt_in) if opt_in is not None else "",
    )


def _shown(found: FoundObject) -> str:
    return str(Target(found.kind.name, found.name, found.namespace, found.kind.api_version))


def _command(found: FoundObject) -> str:
    """Return what opts an object in."""
    kind = found.kind
    resource = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
    where = f" --namespace={found.namespace}" if found.namespace is not None else ""
    overwriting = " --overwrite" if MANAGED_LABEL in found.labels else ""
    return f"kubectl label {resource} {found.name}{where} {MANAGED_LABEL}=true{overwriting}"
