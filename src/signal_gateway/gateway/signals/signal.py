"""Signal: what came in, whatever its source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from signal_gateway.gateway.signals.fingerprint import fingerprint_of
from signal_gateway.gateway.signals.target import Target

__all__ = ["InvalidSignal", "RejectedSignal", "Signal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One alert or event, in the form that everything after the adapters works with.

    Attributes:
        name: What the source calls the problem; 1 to 253 characters.
        severity: As the source said it, `unknown` if it did not; 1 to 50 characters.
        status: A `firing` signal asks for remediation, a `resolved` one does not.
        source: Name of the adapter.
        target: What it is about. Only a resolved signal may have none: its workload may be gone.
        candidates: What else it may be about, if the target does not exist, the likeliest first.
        cluster_id: Which cluster it comes from, if signals of several come in; at most 253 characters.
        fingerprint: Which problem it is: 64 hex digits, from cluster and target alone. None if there is no target.
        namespace: The namespace that the signal speaks of, even if its target is cluster-scoped.
        labels: The source's labels.
        annotations: The source's annotations.
        fired_at: When the problem began.
        received_at: When we were told.
        payload: The source's own JSON object for this signal alone.
        sender: Who sent it, if that was asked; the gateway's to fill in.
    """

    name: str
    severity: str
    status: Literal["firing", "resolved"]
    source: str
    target: Target | None
    candidates: tuple[Target, ...] = ()
    cluster_id: str | None = None
    fingerprint: str | None = field(init=False)
    namespace: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    fired_at: datetime
    received_at: datetime
    payload: Mapping[str, Any]
    sender: str | None = None

    def __post_init__(self) -> None:
        if self.status == "firing" and self.target is None:
            raise ValueError(f"the firing signal {self.name!r} has no target: make it an InvalidSignal")
        fingerprint = fingerprint_of(self.target, cluster_id=self.cluster_id) if self.target is not None else None
        object.__setattr__(self, "fingerprint", fingerprint)  # derived once, and frozen like the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidSignal:
    """One item of a payload that cannot become a signal.

    Attributes:
        reason: Short code from a fixed list, fit for a metric's label, such as `no_target`.
        message: What is wrong, with which value, and what to do.
        source: Name of the adapter.
        name: What the source calls the problem, cut to 253 characters; None if it does not say.
        severity: As the source said it, cut to 50 characters; `unknown` if it does not say.
        sender: Who sent it, if that was asked; the gateway's to fill in.
    """

    reason: str
    message: str
    source: str
    name: str | None = None
    severity: str = "unknown"
    sender: str | None = None


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
        sender: Who sent it, if that was asked; the gateway's to fill in.
    """

    reason: str
    message: str
    source: str
    resource: str
    name: str
    severity: str
    action: str = ""
    sender: str | None = None
