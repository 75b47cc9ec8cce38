"""Creation: creates the RemediationRequest of a problem exactly once. CreationAudit: records each creation."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from signal_gateway.audit.event import AuditEvent
from signal_gateway.clock import Clock, rfc3339
from signal_gateway.gateway.audit import events
from signal_gateway.gateway.audit.recorder import AuditRecorder, AuditUnavailable
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.remediation.deduplication import DuplicateOf, decide
from signal_gateway.gateway.remediation.outcome import Prepared, Undecided
from signal_gateway.gateway.remediation.requests import (
    RemediationRequests,
    WatchLost,
    created_from,
    idempotency_key_in,
    newest_ended,
    remediation_request_manifest,
    remediation_request_name,
)
from signal_gateway.kubernetes import (
    AlreadyExists,
    Conflict,
    Forbidden,
    KubernetesError,
    KubernetesSetupError,
    NotFound,
    RemediationRecord,
    RequestRejected,
)

__all__ = ["Created", "Creation", "CreationAudit"]

_log = logging.getLogger(__name__)

_MAX_STEPS: Final = 8
_MAX_EXPECTED: Final = 10_000
_ERROR_TYPES: Final[dict[type[KubernetesError], str]] = {
    NotFound: "not_found",
    AlreadyExists: "already_exists",
    Conflict: "conflict",
    Forbidden: "forbidden",
    RequestRejected: "refused",
    KubernetesSetupError: "setup",
}


@dataclass(frozen=True, slots=True)
class Created:
    """The decision that a signal created a RemediationRequest.

    Attributes:
        record: The new RemediationRequest.
    """

    record: RemediationRecord


class CreationAudit:
    """Makes sure that the audit trail has the creation of each RemediationRequest of a gateway.

    Between a create and its events, a gateway may be killed, or may give up because every response was lost. The sender
    gets no response then, and sends the signal again. The gateway finds the object by the repeated signal, and records
    the creation from the object if it expected this create, or if the object existed before the gateway started. The
    events may be recorded already: their ids are derived from the uid of the object, and DataStorage keeps the first
    event of an id.

    Args:
        recorder: Records the events.
        requests: The RemediationRequests, with the uids that the gateway inherited at its start.
    """

    def __init__(self, recorder: AuditRecorder, *, requests: RemediationRequests) -> None:
        self._recorder = recorder
        self._requests = requests
        self._expected: dict[str, str] = {}  # names by idempotency key, oldest first: creates in flight or given up

    def expect(self, name: str, idempotency_key: str) -> None:
        """Note a create before it is sent.

        Args:
            name: Name of the object.
            idempotency_key: The key of the signal.
        """
        self._expected[idempotency_key] = name
        if len(self._expected) > _MAX_EXPECTED:
            del self._expected[next(iter(self._expected))]

    def withdraw(self, idempotency_key: str) -> None:
        """Note that the expected create was certainly not carried out."""
        self._expected.pop(idempotency_key, None)

    def confirm(
        self, drafts: tuple[AuditEvent, AuditEvent], record: RemediationRecord, *, idempotency_key: str, at: datetime
    ) -> None:
        """Record an expected creation.

        Args:
            drafts: Returned by `events.created_events`.
            record: The new RemediationRequest.
            idempotency_key: The key of the signal.
            at: Time of the response.

        Raises:
            AuditUnavailable: The store did not record the events.
        """
        received, created = drafts
        self._recorder.record(
            events.with_uid(received, record, at=at),
            events.with_uid(created, record, at=at),
        )
        self._expected.pop(idempotency_key, None)
        self._requests.inherited_uids.discard(record.uid)

    def is_in_doubt(self, record: RemediationRecord) -> bool:
        """Return whether the events of a creation may be missing."""
        return record.uid in self._requests.inherited_uids or record.name in self._expected.values()

    def backfill(self, request: Mapping[str, Any]) -> None:
        """Record the creation of an object whose events may be missing.

        Args:
            request: A RemediationRequest as the API sent it.

        Raises:
            AuditUnavailable: The store did not record the events.
        """
        key = idempotency_key_in(request)
        is_inherited = request["metadata"]["uid"] in self._requests.inherited_uids
        if key is None or not (is_inherited or key in self._expected):
            return
        record, created = RemediationRecord.from_object(request), created_from(request)
        drafts = events.created_events(
            created.signal,
            signal_type=created.signal_type,
            name=record.name,
            namespace=record.namespace,
            idempotency_key=key,
            at=created.decided_at,
        )
        self.confirm(drafts, record, idempotency_key=key, at=max(created.decided_at, record.created_at))


class Creation:
    """Creates RemediationRequests with derived names: a name can be taken once, which is the lock between replicas.

    Args:
        requests: The RemediationRequests.
        audit: Records creations.
        recorder: Records failed attempts.
        metrics: Counts creations and failed attempts.
        clock: The wall clock.
    """

    def __init__(
        self,
        requests: RemediationRequests,
        *,
        audit: CreationAudit,
        recorder: AuditRecorder,
        metrics: GatewayMetrics,
        clock: Clock,
    ) -> None:
        self._requests = requests
        self._audit = audit
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock

    async def create(self, prepared: Prepared) -> Created | DuplicateOf:
        """Create a RemediationRequest, or find the one that another replica created in the meantime.

        Before each attempt the events of the creation are built, and the store must accept events. While the watch is
        lost nothing is created: the history that a name is derived from may be outdated.

        Args:
            prepared: A signal without an active RemediationRequest in the index.

        Raises:
            AuditUnavailable: The audit store accepts no events.
            KubernetesError: The API failed or refused.
            Undecided: The name was taken at every step, or the watch is still lost.
        """
        failures = _FailedCreations(prepared, recorder=self._recorder, metrics=self._metrics, clock=self._clock)
        found_records: dict[str, RemediationRecord] = {}
        clashes = 0
        try:
            for _ in range(_MAX_STEPS):
                await self._requests.until_watched(deadline=prepared.deadline)
                by_uid = found_records.copy()
                for record in self._requests.index.by_fingerprint(prepared.fingerprint):
                    by_uid[record.uid] = record
                known = list(by_uid.values())
                decision = decide(known, now=self._clock.now())
                if isinstance(decision, DuplicateOf):
                    return decision
                created = await self._attempt(prepared, known, clashes=clashes, failures=failures)
                if isinstance(created, Created):
                    return created
                if created is None:
                    continue
                if created.fingerprint != prepared.fingerprint:
                    clashes += 1
                    continue
                found_records[created.uid] = created
                clashes = 0
            raise Undecided(f"no free name for {prepared.signal.name} after {_MAX_STEPS} steps")
        except Undecided as exc:
            failures.add(str(exc), error_type="undecided", can_be_retried=True)
            raise

    async def _attempt(
        self, prepared: Prepared, known: list[RemediationRecord], *, clashes: int, failures: "_FailedCreations"
    ) -> Created | RemediationRecord | None:
        """Create the object with the next name; return the present object if the name is taken, None if it is gone."""
        signal, key, namespace = prepared.signal, prepared.idempotency_key, self._requests.namespace
        namespace_uid = self._requests.namespace_uid
        previous = None
        if known:
            previous = newest_ended(known, namespace_uid=namespace_uid, fingerprint=prepared.fingerprint)
        name = remediation_request_name(
            namespace_uid=namespace_uid,
            fingerprint=prepared.fingerprint,
            previous_uid=previous.uid if previous is not None else None,
            clashes=clashes,
        )
        now = self._clock.now()
        drafts = events.created_events(
            signal,
            signal_type=prepared.signal_type,
            name=name,
            namespace=namespace,
            idempotency_key=key,
            at=now,
        )
        manifest = remediation_request_manifest(
            signal,
            name=name,
            namespace=namespace,
            signal_type=prepared.signal_type,
            idempotency_key=key,
            created_at=rfc3339(now),
        )
        self._recorder.require_accepting()
        self._audit.expect(name, key)
        try:
            record = await self._requests.create(manifest, deadline=prepared.deadline, failures=failures)
        except RequestRejected:
            self._audit.withdraw(key)
            raise
        except (AlreadyExists, WatchLost):
            found = await self._requests.read(name, deadline=prepared.deadline)
            if found is None:
                return None
            record = RemediationRecord.from_object(found)
            if idempotency_key_in(found) != key:
                self._audit.withdraw(key)
                self._audit.backfill(found)
                return record

        self._metrics.count_created(source=signal.source)
        self._audit.confirm(drafts, record, idempotency_key=key, at=self._clock.now())
        _log.info(
            "RemediationRequest %s/%s was created",
            namespace,
            name,
            extra={"request_id": prepared.request_id, "correlation_id": name, "fingerprint": prepared.fingerprint},
        )
        return Created(record)


@dataclass(frozen=True, slots=True)
class _FailedCreations:
    """Counts the failed attempts to create one RemediationRequest, and records an event for each."""

    prepared: Prepared
    recorder: AuditRecorder
    metrics: GatewayMetrics
    clock: Clock

    def add_failure(self, failure: KubernetesError) -> None:
        if not isinstance(failure, AlreadyExists):
            error_type = _ERROR_TYPES.get(type(failure), "unavailable")
            self.add(str(failure), error_type=error_type, can_be_retried=not isinstance(failure, RequestRejected))

    def add(self, message: str, *, error_type: str, can_be_retried: bool) -> None:
        self.metrics.count_creation_error(error_type=error_type)
        event = events.creation_failed(
            self.prepared.signal,
            signal_type=self.prepared.signal_type,
            message=message,
            code=error_type,
            can_be_retried=can_be_retried,
            at=self.clock.now(),
        )
        try:
            self.recorder.record(event)
        except AuditUnavailable:
            _log.warning(
                "the audit store refused the event of a failed creation: %s",
                message,
                extra={"request_id": self.prepared.request_id, "correlation_id": event.correlation_id},
            )
