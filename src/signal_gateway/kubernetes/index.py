"""RemediationRequestIndex: the RemediationRequests of one namespace in memory, a RemediationRecord each."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from signal_gateway.clock import Clock, parse_rfc3339
from signal_gateway.kubernetes.errors import ApiUnavailable, KubernetesError

__all__ = ["GROUP", "KIND", "PLURAL", "TERMINAL_PHASES", "VERSION", "RemediationRecord", "RemediationRequestIndex"]

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
                created_at=parse_rfc3339(metadata["creationTimestamp"]),
                next_allowed_execution=parse_rfc3339(next_allowed) if next_allowed else None,
                resource_version=str(int(metadata["resourceVersion"])),
                occurrence_count=deduplication.get("occurrenceCount") or 1,
                first_seen_at=parse_rfc3339(first_seen) if first_seen else None,
                last_seen_at=parse_rfc3339(last_seen) if last_seen else None,
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


def _identity_of(obj: object) -> object:
    metadata = obj.get("metadata") if isinstance(obj, Mapping) else obj
    if not isinstance(metadata, Mapping):
        return metadata
    return {field: metadata.get(field) for field in ("namespace", "name", "uid", "resourceVersion")}


_LIVENESS_SECONDS: Final = 90.0


class RemediationRequestIndex:
    """The result of list and watch, combined with the responses to the process's own writes.

    A `Reflector` keeps it current. Other code reads it and reports its own writes by `note` and `forget`. All methods
    run on one loop and none but `until_watched` awaits, so no call is ever interrupted by another.

    Args:
        namespace: The namespace of the RemediationRequests.
        clock: Measures the time since the last sign of life.
    """

    def __init__(self, namespace: str, *, clock: Clock) -> None:
        self.namespace = namespace
        self._last_error: KubernetesError | None = None
        self._clock = clock
        self._namespace_uid: str | None = None
        self._is_synced = False
        self._is_watched = asyncio.Event()
        self._last_sign_of_life = clock.monotonic()
        self._by_uid: dict[str, RemediationRecord] = {}
        self._by_fingerprint: dict[str, dict[str, RemediationRecord]] = {}
        # the tables are complete up to this version: an object that they lack and that is not newer is deleted
        self._resource_version = 0
        self._noted_while_listing: dict[str, RemediationRecord] | None = None

    @property
    def namespace_uid(self) -> str:
        """The uid of the namespace: different in every cluster, and so are values derived from it.

        Raises:
            KubernetesError: The index is not synced yet.
        """
        if self._namespace_uid is None:
            raise KubernetesError(
                f"the uid of namespace {self.namespace} is not known yet. Wait until the index is synced"
            )
        return self._namespace_uid

    @property
    def resource_version(self) -> str:
        """The resourceVersion from which a watch continues: the index is complete up to it."""
        return str(self._resource_version)

    @property
    def is_synced(self) -> bool:
        """Whether the first list is complete."""
        return self._is_synced

    @property
    def is_alive(self) -> bool:
        """Whether it is synced and had a sign of life within the last 90 seconds."""
        silence = self._clock.monotonic() - self._last_sign_of_life
        return self._is_synced and silence <= _LIVENESS_SECONDS

    @property
    def is_watched(self) -> bool:
        """Whether changes arrive as they happen: not from the failure of a watch until the next complete list."""
        return self._is_watched.is_set()

    async def until_watched(self) -> None:
        """Wait until changes arrive as they happen."""
        await self._is_watched.wait()

    @property
    def last_error(self) -> KubernetesError | None:
        """The last failure of list or watch; None after the next sign of life."""
        return self._last_error

    def by_fingerprint(self, fingerprint: str) -> tuple[RemediationRecord, ...]:
        """Return the records of a problem, the oldest first.

        Args:
            fingerprint: 64 hex digits.
        """
        records = self._by_fingerprint.get(fingerprint)
        if not records:
            return ()
        return tuple(sorted(records.values(), key=lambda record: (record.created_at, record.name)))

    def active_uids(self) -> Iterator[str]:
        """Yield the uids of all active RemediationRequests."""
        return (record.uid for record in self._by_uid.values() if record.is_active)

    def note(self, obj: Mapping[str, Any]) -> RemediationRecord:
        """Add the response to one of the process's own writes or reads, ahead of the watch.

        A newer state in the index stays, and an object that the watch reported as deleted does not come back.

        Args:
            obj: A RemediationRequest in the API's JSON shape.

        Returns:
            Its record.

        Raises:
            ApiUnavailable: The object is unreadable.
        """
        record = RemediationRecord.from_object(obj)
        if self._noted_while_listing is not None:
            earlier = self._noted_while_listing.get(record.uid)
            if earlier is None or int(record.resource_version) >= int(earlier.resource_version):
                self._noted_while_listing[record.uid] = record
        if record.uid in self._by_uid or int(record.resource_version) > self._resource_version:
            self._put(record)
        return record

    def forget(self, uid: str) -> None:
        """Remove an object that one of the process's own calls found missing; an unknown uid is fine.

        Args:
            uid: The uid of the object for which the API responded 404.
        """
        if self._noted_while_listing is not None:
            self._noted_while_listing.pop(uid, None)
        record = self._by_uid.pop(uid, None)
        if record is None:
            return
        siblings = self._by_fingerprint[record.fingerprint]
        del siblings[uid]
        if not siblings:
            del self._by_fingerprint[record.fingerprint]

    def begin_listing(self) -> None:
        """Prepare for `replace`: the list that is requested now may lack the objects noted from now on."""
        self._noted_while_listing = {}

    def replace(self, records: Iterable[RemediationRecord], resource_version: str) -> None:
        """Replace the content by a complete list.

        Args:
            records: The records of all RemediationRequests in the list.
            resource_version: The resourceVersion of the list.
        """
        self._by_uid.clear()
        self._by_fingerprint.clear()
        self._resource_version = int(resource_version)
        for record in records:
            self._put(record)
        for record in (self._noted_while_listing or {}).values():
            if int(record.resource_version) > self._resource_version:
                self._put(record)
        self._noted_while_listing = None
        self._is_synced = True
        self._is_watched.set()
        self.mark_alive()

    def apply(self, event_type: str, obj: Mapping[str, Any]) -> None:
        """Apply an event of the watch, which is a sign of life.

        Args:
            event_type: `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`.
            obj: The object of the event, in the API's JSON shape.

        Raises:
            ApiUnavailable: The object is unreadable.
        """
        if event_type == "BOOKMARK":
            resource_version = int(obj["metadata"]["resourceVersion"])
        else:
            known = self._by_uid.get((obj.get("metadata") or {}).get("uid", ""))
            is_noted = known is not None and known.resource_version == obj["metadata"].get("resourceVersion")
            record = known if known is not None and is_noted else RemediationRecord.from_object(obj)
            resource_version = int(record.resource_version)
            if event_type == "DELETED":
                self.forget(record.uid)
            elif not is_noted:
                self._put(record)
        self._resource_version = max(self._resource_version, resource_version)
        self._last_sign_of_life = self._clock.monotonic()
        self._last_error = None

    def identify(self, namespace: Mapping[str, Any]) -> None:
        """Set the uid of the namespace.

        Args:
            namespace: The Namespace in the API's JSON shape.
        """
        self._namespace_uid = namespace["metadata"]["uid"]

    def mark_alive(self) -> None:
        """Record a sign of life."""
        self._last_sign_of_life = self._clock.monotonic()
        self._last_error = None

    def mark_failed(self, error: KubernetesError) -> None:
        """Record the failure of list or watch: from now on the index may lack changes."""
        self._last_error = error
        self._is_watched.clear()

    def _put(self, record: RemediationRecord) -> None:
        known = self._by_uid.get(record.uid)
        if known is not None and int(known.resource_version) > int(record.resource_version):
            return  # resourceVersions are etcd's, numbers that grow
        self._by_uid[record.uid] = record
        self._by_fingerprint.setdefault(record.fingerprint, {})[record.uid] = record
