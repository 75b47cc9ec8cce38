"""Create the RemediationRequest of a problem, once, however many replicas try."""

import logging
from dataclasses import dataclass

from signal_gateway.clock import Clock
from signal_gateway.gateway.audit import events
from signal_gateway.gateway.audit.creation_audit import CreationRecord
from signal_gateway.gateway.audit.recorder import AuditUnavailable, Journal
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.remediation.deduplication import DuplicateOf, decide
from signal_gateway.gateway.remediation.idempotency_key import request_id_of
from signal_gateway.gateway.remediation.manifest import mark_in, remediation_request_manifest
from signal_gateway.gateway.remediation.naming import newest_ended, remediation_request_name
from signal_gateway.gateway.remediation.outcome import Undecided
from signal_gateway.gateway.remediation.requests import ClusterView, WatchLost
from signal_gateway.gateway.signals.signal import Signal
from signal_gateway.gateway.timestamps import rfc3339
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

__all__ = ["Created", "Creation"]

_log = logging.getLogger(__name__)

_MAX_STEPS = 8
_ERROR_TYPES: dict[type[KubernetesError], str] = {
    NotFound: "not_found",
    AlreadyExists: "already_exists",
    Conflict: "conflict",
    Forbidden: "forbidden",
    RequestRejected: "refused",
    KubernetesSetupError: "setup",
}


@dataclass(frozen=True, slots=True)
class Created:
    """A RemediationRequest of this signal's making.

    Attributes:
        record: The object.
    """

    record: RemediationRecord


class Creation:
    """Creates under derived names: the API server's uniqueness is the lock between replicas.

    Args:
        view: Access to the RemediationRequests.
        record: Where creations are recorded.
        journal: Where its other events go.
        metrics: Where it is counted.
        clock: The wall clock.
    """

    def __init__(
        self, view: ClusterView, *, record: CreationRecord, journal: Journal, metrics: GatewayMetrics, clock: Clock
    ) -> None:
        self._view = view
        self._record = record
        self._journal = journal
        self._metrics = metrics
        self._clock = clock

    async def create(self, signal: Signal, *, signal_type: str, mark: str, deadline: float) -> Created | DuplicateOf:
        """Create a RemediationRequest, or find the one that somebody else created meanwhile.

        The events of the creation are built, and the store asked whether it takes them, before each attempt. While the
        watch is lost nothing is created: others may have created, ended and deleted what a name is derived from.

        Args:
            signal: A firing signal that nothing handles, as far as the index knows.
            signal_type: What the signal's adapter calls its signals.
            mark: Unique to this signal of this request; by it a create whose answer was lost is known again.
            deadline: Time of the running loop after which no further attempt starts.

        Raises:
            AuditUnavailable: The audit store takes no events.
            KubernetesError: The API failed or refused.
            Undecided: The name was taken anew at every step, or the watch stays lost.
        """
        try:
            return await self._create(signal, signal_type=signal_type, mark=mark, deadline=deadline)
        except Undecided as exc:
            self._note_failure(signal, signal_type, str(exc), mark=mark, error_type="undecided", can_be_retried=True)
            raise

    async def _create(self, signal: Signal, *, signal_type: str, mark: str, deadline: float) -> Created | DuplicateOf:
        assert signal.fingerprint is not None, "a firing signal has a fingerprint"
        fingerprint, namespace = signal.fingerprint, self._view.namespace
        found_records: list[RemediationRecord] = []
        clashes = 0

        def on_failure(failure: KubernetesError) -> None:
            if not isinstance(failure, AlreadyExists):
                self._note_failure(
                    signal,
                    signal_type,
                    str(failure),
                    mark=mark,
                    error_type=_ERROR_TYPES.get(type(failure), "unavailable"),
                    can_be_retried=not isinstance(failure, RequestRejected),
                )

        for _ in range(_MAX_STEPS):
            await self._view.until_watched(deadline=deadline)
            known = self._known(fingerprint, found_records)
            verdict = decide(known, now=self._clock.now())
            if isinstance(verdict, DuplicateOf):
                return verdict
            previous = newest_ended(
                known,
                namespace_uid=self._view.namespace_uid,
                fingerprint=fingerprint,
            )
            name = remediation_request_name(
                namespace_uid=self._view.namespace_uid,
                fingerprint=fingerprint,
                previous_uid=previous.uid if previous is not None else None,
                clashes=clashes,
            )
            now = self._clock.now()
            drafts = events.created_events(signal, signal_type=signal_type, name=name, namespace=namespace, at=now)
            manifest = remediation_request_manifest(
                signal, name=name, namespace=namespace, signal_type=signal_type, mark=mark, created_at=rfc3339(now)
            )
            self._journal.require_accepting()
            self._record.expect(name, mark)
            try:
                record = await self._view.create(manifest, deadline=deadline, on_failure=on_failure)
            except RequestRejected:
                self._record.withdraw(mark)
                raise
            except (AlreadyExists, WatchLost):
                found = await self._view.read(name, deadline=deadline)
                if found is None:
                    continue
                record = RemediationRecord.from_object(found)
                is_ours = mark_in(found) == mark
                if not is_ours:
                    self._record.withdraw(mark)
                    self._record.make_sure(found)
                if not is_ours and record.fingerprint != fingerprint:
                    clashes += 1
                    continue
                if not is_ours:
                    found_records.append(record)
                    clashes = 0
                    continue

            self._metrics.count_created(source=signal.source)
            self._record.record(drafts, record, mark=mark, at=self._clock.now())
            _log.info(
                "RemediationRequest %s/%s was created",
                namespace,
                name,
                extra={"request_id": request_id_of(mark), "correlation_id": name, "fingerprint": fingerprint},
            )
            return Created(record)
        raise Undecided(f"no free name for {signal.name} after {_MAX_STEPS} steps")

    def _known(self, fingerprint: str, found: list[RemediationRecord]) -> list[RemediationRecord]:
        """Return what the index knows, and what was found by name and the index does not show."""
        known = {record.uid: record for record in found}
        known.update((record.uid, record) for record in self._view.records(fingerprint))
        return list(known.values())

    def _note_failure(
        self, signal: Signal, signal_type: str, message: str, *, mark: str, error_type: str, can_be_retried: bool
    ) -> None:
        self._metrics.count_creation_error(error_type=error_type)
        event = events.creation_failed(
            signal,
            signal_type=signal_type,
            message=message,
            code=error_type,
            can_be_retried=can_be_retried,
            at=self._clock.now(),
        )
        try:
            self._journal.record(event)
        except AuditUnavailable:
            _log.warning(
                "the audit store did not take the event of a failed creation: %s",
                message,
                extra={"request_id": request_id_of(mark), "correlation_id": event.correlation_id},
            )
