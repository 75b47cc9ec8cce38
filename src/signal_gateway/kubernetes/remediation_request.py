"""What the gateway keeps in mind of a RemediationRequest."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from signal_gateway.kubernetes.errors import ApiUnavailable

__all__ = ["GROUP", "KIND", "PLURAL", "TERMINAL_PHASES", "VERSION", "RemediationRecord"]

GROUP: Final = "kubernaut.ai"
VERSION: Final = "v1alpha1"
KIND: Final = "RemediationRequest"
PLURAL: Final = "remediationrequests"

TERMINAL_PHASES: Final = frozenset({"Completed", "Failed", "TimedOut", "Skipped", "Cancelled"})


@dataclass(frozen=True, slots=True)
class RemediationRecord:
    """One RemediationRequest as of one resourceVersion, without its payload.

    Attributes:
        uid: Unique among all objects of all times.
        name: Unique in its namespace at one time.
        namespace: The controller namespace.
        fingerprint: Of the problem: 64 hex digits.
        phase: `status.overallPhase`; None before a controller took it up.
        outcome: `status.completionStatus.outcome`; None before the end.
        created_at: `metadata.creationTimestamp`, aware.
        next_allowed_execution: `status.routingStatus.nextAllowedExecution`, aware; None when nothing forbids it.
        resource_version: For a patch that must not overwrite somebody else's.
        occurrence_count: How often the signal came; an absent block reads as 1.
        first_seen_at: `status.deduplication.firstSeenAt`, aware; None before the first duplicate.
        last_seen_at: `status.deduplication.lastSeenAt`, aware; None before the first duplicate.
        being_deleted: Whether it has a deletionTimestamp.
    """

    uid: str
    name: str
    namespace: str
    fingerprint: str
    phase: str | None
    outcome: str | None
    created_at: datetime
    next_allowed_execution: datetime | None
    resource_version: str
    occurrence_count: int = 1
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None
    being_deleted: bool = False

    @classmethod
    def from_object(cls, obj: Mapping[str, Any]) -> Self:
        """Read a RemediationRequest in the API's JSON shape.

        Raises:
            ApiUnavailable: It lacks a field that the API always sends, or a time can't be read.
        """
        try:
            metadata = obj["metadata"]
            status = obj.get("status") or {}
            deduplication = status.get("deduplication") or {}
            return cls(
                uid=metadata["uid"],
                name=metadata["name"],
                namespace=metadata["namespace"],
                fingerprint=obj["spec"]["signalFingerprint"],
                phase=status.get("overallPhase") or None,
                outcome=(status.get("completionStatus") or {}).get("outcome") or None,
                created_at=_moment(metadata["creationTimestamp"]),
                next_allowed_execution=_moment_or_none((status.get("routingStatus") or {}).get("nextAllowedExecution")),
                resource_version=str(int(metadata["resourceVersion"])),
                occurrence_count=deduplication.get("occurrenceCount") or 1,
                first_seen_at=_moment_or_none(deduplication.get("firstSeenAt")),
                last_seen_at=_moment_or_none(deduplication.get("lastSeenAt")),
                being_deleted=bool(metadata.get("deletionTimestamp")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise ApiUnavailable(
                f"the Kubernetes API sent a RemediationRequest that can't be read ({type(exc).__name__}: {exc}): "
                f"look at it with kubectl get {PLURAL}.{GROUP} -o yaml; its metadata: {_metadata_of(obj)!r}",
                resource=PLURAL,
            ) from exc

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.phase in TERMINAL_PHASES

    @property
    def is_active(self) -> bool:
        """Whether it still handles its problem; one without a phase does."""
        return not self.is_terminal and not self.being_deleted


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment


def _moment_or_none(text: str | None) -> datetime | None:
    return _moment(text) if text else None


def _metadata_of(obj: object) -> object:
    metadata = obj.get("metadata") if isinstance(obj, Mapping) else obj
    if not isinstance(metadata, Mapping):
        return metadata
    return {field: metadata.get(field) for field in ("namespace", "name", "uid", "resourceVersion")}
