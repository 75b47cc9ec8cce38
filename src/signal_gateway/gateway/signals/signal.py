"""Signal: what came in, whatever its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

__all__ = ["InvalidSignal", "RejectedSignal", "Signal", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """The Kubernetes object that a signal is about.

    Attributes:
        kind: Such as `Deployment`.
        name: Name of the object.
        namespace: Its namespace; None for a cluster-scoped kind, and where the signal names none.
        api_version: Group and version of the kind, such as `apps/v1`.
    """

    kind: str
    name: str
    namespace: str | None
    api_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One alert or event, in the form that everything after the adapters works with.

    Attributes:
        name: What the source calls the problem; 1 to 253 characters.
        severity: As the source said it, `unknown` if it did not; 1 to 50 characters.
        status: A `firing` signal asks for remediation, a `resolved` one does not.
        source: Name of the adapter.
        target: What it is about. Only a resolved signal may have none: its workload may be gone.
        fingerprint: Which problem it is: 64 hex digits, from the target alone. None if there is no target.
        namespace: The namespace that the signal speaks of, even if its target is cluster-scoped.
        labels: The source's labels.
        annotations: The source's annotations.
        fired_at: When the problem began.
        received_at: When we were told.
        payload: The source's own JSON object for this signal alone.
    """

    name: str
    severity: str
    status: Literal["firing", "resolved"]
    source: str
    target: Target | None
    fingerprint: str | None
    namespace: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    fired_at: datetime
    received_at: datetime
    payload: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.status == "firing" and (self.target is None or self.fingerprint is None):
            raise ValueError(f"the firing signal {self.name!r} has no target: make it an InvalidSignal")


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidSignal:
    """One item of a payload that cannot become a signal.

    Attributes:
        reason: Short code from a fixed list, fit for a metric's label, such as `no_target`.
        message: What is wrong, with which value, and what to do.
        source: Name of the adapter.
        name: What the source calls the problem, cut to 253 characters; None if it does not say.
        severity: As the source said it, cut to 50 characters; `unknown` if it does not say.
    """

    reason: str
    message: str
    source: str
    name: str | None = None
    severity: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedSignal:
    """A signal that is understood, and that nothing is to be done about.

    Attributes:
        reason: Short code from a fixed list, fit for a metric's label, such as `normal_event`.
        message: Why nothing is done, for the sender.
        source: Name of the adapter.
        resource: What it is about: `namespace/Kind/name`.
        name: What the source calls it.
        severity: As the source said it.
        action: What somebody may do to have it handled, such as a `kubectl` command; empty for nothing.
    """

    reason: str
    message: str
    source: str
    resource: str
    name: str
    severity: str
    action: str = ""
