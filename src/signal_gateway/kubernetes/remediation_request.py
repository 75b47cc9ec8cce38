"""RemediationRecord: the part of a RemediationRequest that the gateway keeps in memory."""

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
    """One RemediationRequest at one resourceVersion, without its payload.

    Attributes:
        uid: Unique among all objects, deleted ones included.
        name: Unique in its namespace at one time.
        namespace: The controller namespace.
        fingerprint: The fingerprint of the problem, 64 hex digits.
        phase: `status.overallPhase`; None until a controller sets it.
        outcome: `status.completionStatus.outcome`; None before the end.
        created_at: `metadata.creationTimestamp`, aware.
        next_allowed_execution: `status.routingStatus.nextAllowedExecution`, aware; None without a restriction.
        resource_version: For a patch that must not overwrite a concurrent change.
        occurrence_count: The number of occurrences; an absent block reads as 1.
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
            ApiUnavailable: A field that the API always sends is missing, or a time is not valid.
        """
        try:
            metadata = obj["metadata"]
            status = obj.get("status") or {}
            deduplication = status.get("deduplication") or {}
            next_allowed = (status.get("routingStatus") or {}).get("nextAllowedExecution")
            first_seen, last_seen = deduplication.get("firstSeenAt"), deduplication.get("lastSeenAt")
            return cls(
                uid=metadata["uid"],
                name=metadata["name"],
                namespace=metadata["namespace"],
                fingerprint=obj["spec"]["signalFingerprint"],
                phase=status.get("overallPhase") or None,
                outcome=(status.get("completionStatus") or {}).get("outcome") or None,
                created_at=_time(metadata["creationTimestamp"]),
                next_allowed_execution=_time(next_allowed) if next_allowed else None,
                resource_version=str(int(metadata["resourceVersion"])),
                occurrence_count=deduplication.get("occurrenceCount") or 1,
                first_seen_at=_time(first_seen) if first_seen else None,
                last_seen_at=_time(last_seen) if last_seen else None,
                being_deleted=bool(metadata.get("deletionTimestamp")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise ApiUnavailable(
                f"the Kubernetes API sent an unreadable RemediationRequest ({type(exc).__name__}: {exc}), "
                f"metadata: {_identity_of(obj)!r}. Inspect it with kubectl get {PLURAL}.{GROUP} -o yaml",
                resource=PLURAL,
            ) from exc

    @property
    def is_terminal(self) -> bool:
        """Whether the remediation has ended, with any result."""
        return self.phase in TERMINAL_PHASES

    @property
    def is_active(self) -> bool:
        """Whether it still handles its problem; without a phase it does."""
        return not self.is_terminal and not self.being_deleted


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment


def _identity_of(obj: object) -> object:
    metadata = obj.get("metadata") if isinstance(obj, Mapping) else obj
    if not isinstance(metadata, Mapping):
        return metadata
    return {field: metadata.get(field) for field in ("namespace", "name", "uid", "resourceVersion")}
