"""Signal: one alert or Kubernetes Event after parsing, independent of its source; its target and fingerprint.

The functions at the end decode the JSON that signals are made of, and check that the audit trail can store it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal

import orjson

from signal_gateway.errors import GatewayError

__all__ = [
    "CLUSTER_API_VERSION",
    "MAX_DEPTH",
    "MAX_NAMESPACE_LENGTH",
    "InvalidPayload",
    "InvalidSignal",
    "RejectedSignal",
    "Sender",
    "Signal",
    "Target",
    "cluster_target",
    "excerpt",
    "fingerprint_of",
    "is_namespace",
    "is_object_name",
    "json_object",
    "storable_labels",
    "storable_text",
    "unrepresentable",
]

MAX_DEPTH: Final = 8
MAX_NAMESPACE_LENGTH: Final = 63
CLUSTER_API_VERSION: Final = "kubernaut.ai/v1alpha1"
"""`apiVersion` of the target `Cluster`. The API has no such object, and no other kind `Cluster` has this group."""

_MAX_NAME_LENGTH: Final = 253
_MAX_EXCERPT_LENGTH: Final = 100
_DNS_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_DNS_SUBDOMAIN: Final = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
_NAMESPACE: Final = re.compile(_DNS_LABEL)


@dataclass(frozen=True, slots=True)
class Target:
    """The Kubernetes object that a signal is about.

    Attributes:
        kind: Kind of the object, such as `Deployment`.
        name: Name of the object.
        namespace: Namespace of the object; None for a cluster-scoped kind, or if the signal names none.
        api_version: Group and version of the kind, such as `apps/v1`.
    """

    kind: str
    name: str
    namespace: str | None
    api_version: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.namespace, self.kind, self.name) if part)


def cluster_target(problem: str) -> Target:
    """Return the target of a problem of the cluster itself, named by the problem, such as `Cluster/KubeAPIDown`."""
    return Target(kind="Cluster", name=problem, namespace=None, api_version=CLUSTER_API_VERSION)


def is_namespace(name: str) -> bool:
    """Return whether a name is valid for a namespace: a DNS label."""
    return len(name) <= MAX_NAMESPACE_LENGTH and _NAMESPACE.fullmatch(name) is not None


def is_object_name(name: str) -> bool:
    """Return whether a name is valid for an object: a DNS subdomain."""
    return len(name) <= _MAX_NAME_LENGTH and _DNS_SUBDOMAIN.fullmatch(name) is not None


def fingerprint_of(target: Target, *, cluster_id: str | None = None) -> str:
    """Return the hash of a target. Name and severity of the alert do not count: one workload is one problem.

    Args:
        target: The target of the signal.
        cluster_id: The cluster of the target, if signals come from several clusters.

    Returns:
        Lower-case hex SHA-256 of `[cluster:]namespace:Kind:name`.
    """
    identity = f"{target.namespace or ''}:{target.kind}:{target.name}"
    if cluster_id:
        identity = f"{cluster_id}:{identity}"
    return sha256(identity.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The sender of a signal, for the log and the audit trail.

    Attributes:
        name: Name of the authenticated sender; None without authentication.
        peer: Address and port of the connection, such as `10.42.0.16:51234`; a proxy's, if there is one.
        ids: The ids that the sender gave the request, as far as they are valid: `sender_request_id` from the header
            `X-Request-ID`, and `traceparent` (W3C Trace Context).
    """

    name: str | None = None
    peer: str | None = None
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One alert or Kubernetes Event, independent of its source.

    Attributes:
        name: Name of the problem at the source; 1 to 253 characters.
        severity: Severity at the source, `unknown` if the source gives none; 1 to 50 characters.
        status: `firing` starts a remediation, `resolved` does not.
        source: Name of the adapter.
        target: The object that the signal is about; None if only candidates are known. A resolved signal may have
            neither: its workload may be gone.
        candidates: Further objects, in case the target does not exist; the most likely first.
        cluster_id: The cluster of the target, if signals come from several clusters; at most 253 characters.
        fingerprint: The problem: 64 hex digits, from cluster and target only. None without a target.
        namespace: The namespace in the labels, also for a cluster-scoped target.
        labels: Labels from the source.
        annotations: Annotations from the source.
        fired_at: When the problem began.
        received_at: When the gateway received the signal.
        payload: The JSON object of this signal from the source.
        notification: Identifies the signal among those of its group, the same in each retry of the source; None if the
            source does not repeat signals.
        sender: The sender of the signal. The gateway sets it.
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
    notification: str | None = None
    sender: Sender = Sender()

    def __post_init__(self) -> None:
        if self.status == "firing" and self.target is None and not self.candidates:
            raise ValueError(f"the firing signal {self.name!r} has no target: return an InvalidSignal instead")
        fingerprint = fingerprint_of(self.target, cluster_id=self.cluster_id) if self.target is not None else None
        object.__setattr__(self, "fingerprint", fingerprint)  # derived once, and frozen like the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidSignal:
    """One item of a payload that is not a valid signal.

    Attributes:
        reason: Short code from a fixed list, also a metric label, such as `no_target`.
        message: The error, the value and the remedy, for the sender.
        source: Name of the adapter.
        name: Name of the problem at the source, cut to 253 characters; None if the source gives none.
        severity: Severity at the source, cut to 50 characters; `unknown` if the source gives none.
        labels: Labels from the source, without NUL characters.
        notification: As for a `Signal`.
        sender: The sender of the signal. The gateway sets it.
    """

    reason: str
    message: str
    source: str
    name: str | None = None
    severity: str = "unknown"
    labels: Mapping[str, str] = field(default_factory=dict)
    notification: str | None = None
    sender: Sender = Sender()


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedSignal:
    """A valid signal that needs no remediation.

    Attributes:
        reason: Short code from a fixed list, also a metric label, such as `normal_event`.
        message: The reason for the rejection, for the sender.
        source: Name of the adapter.
        resource: The target, as `namespace/Kind/name`; empty if there is none.
        name: Name of the problem at the source.
        severity: Severity at the source.
        action: The remedy, such as a `kubectl` command; empty if there is none.
        labels: Labels from the source, without NUL characters.
        notification: As for a `Signal`.
        sender: The sender of the signal. The gateway sets it.
    """

    reason: str
    message: str
    source: str
    resource: str
    name: str
    severity: str
    action: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    notification: str | None = None
    sender: Sender = Sender()


class InvalidPayload(GatewayError):  # noqa: N818 - a response to the sender
    """The payload as a whole is not valid for its source. The message goes to the sender."""


def json_object(body: bytes) -> dict[str, Any]:
    """Decode a body that must be one JSON object.

    Raises:
        InvalidPayload: The body is not JSON, or not an object.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise InvalidPayload(f"The body is not JSON: line {exc.lineno}, column {exc.colno}.") from exc
    if not isinstance(document, dict):
        raise InvalidPayload("The body is JSON, but not an object.")
    return document


def unrepresentable(value: Any, *, depth: int = 1) -> str | None:
    """Return the reason why the audit trail cannot store a decoded JSON value, or None if it can.

    Args:
        value: Any value that a JSON decoder returns.
        depth: The nesting level of `value`, counted from 1.
    """
    if isinstance(value, str):
        return "it contains a NUL character" if "\0" in value else None
    if not isinstance(value, (dict, list)):
        return None
    if depth > MAX_DEPTH:
        return f"it is nested deeper than {MAX_DEPTH} levels"
    children = [*value, *value.values()] if isinstance(value, dict) else value
    for child in children:
        reason = unrepresentable(child, depth=depth + 1)
        if reason is not None:
            return reason
    return None


def storable_text(text: str | None, max_length: int) -> str | None:
    """Return a text that the audit trail can store, cut to a length; None for an empty text."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:max_length] if text else None


def storable_labels(labels: object) -> dict[str, str]:
    """Return the labels that the audit trail can store: those with strings as values, without NUL characters."""
    if not isinstance(labels, dict):
        return {}
    return {
        key.replace("\0", "\N{REPLACEMENT CHARACTER}"): value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        for key, value in labels.items()
        if isinstance(value, str)
    }


def excerpt(value: object) -> str:
    """Return the beginning of a value, for a message to the sender."""
    match value:
        case None:
            return "missing"
        case dict() | list():
            return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
        case str():
            return repr(value[:_MAX_EXCERPT_LENGTH])[:_MAX_EXCERPT_LENGTH]
        case _:
            return repr(value)[:_MAX_EXCERPT_LENGTH]
