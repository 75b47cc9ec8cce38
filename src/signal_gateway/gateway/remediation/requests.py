"""RemediationRequests: the repository of those in the controller namespace. The name and the content of one."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, Final

import orjson

from signal_gateway.clock import parse_rfc3339, rfc3339
from signal_gateway.errors import GatewayError
from signal_gateway.gateway.audit.events import cut_mapping, cut_utf8
from signal_gateway.gateway.remediation.outcome import Undecided
from signal_gateway.gateway.resilience import ApiCalls, FailedAttempts
from signal_gateway.gateway.signals.signal import Signal, Target
from signal_gateway.kubernetes import (
    GROUP,
    VERSION,
    CallObserver,
    KubernetesClient,
    NotFound,
    RemediationRecord,
    RemediationRequestIndex,
)

__all__ = [
    "MAX_CLASHES",
    "CreatedFrom",
    "RemediationRequests",
    "WatchLost",
    "created_from",
    "idempotency_key_in",
    "newest_ended",
    "remediation_request_manifest",
    "remediation_request_name",
]

MAX_CLASHES = 8

_LONGEST_WAIT: Final = 3.0  # seconds; a lost watch is tried again every 2
_REQUEST_ANNOTATION = "signal-gateway/request"
_CREATED_AT_ANNOTATION = "kubernaut.ai/created-at"
_LABELS = {"app.kubernetes.io/managed-by": "gateway-service", "app.kubernetes.io/component": "remediation"}
_MAX_OBJECT_BYTES = 1024 * 1024
# Below 1 MiB together, even as JSON within JSON, which at most doubles them; the labels are in the object twice.
_SHARE_BYTES = 128 * 1024


class WatchLost(GatewayError):  # noqa: N818 - a state, which passes
    """A create was not sent, because the index that its name was derived from may be outdated."""


class RemediationRequests:
    """Reads from the index that all gateways of the client share, and writes through the client.

    Each response is added to the index at once, ahead of the watch. Between `open` and `close`, on the client's loop.

    Attributes:
        namespace: The controller namespace.
        namespace_uid: Its uid, known after `open`; it differs in every cluster.
        inherited_uids: uids of the RemediationRequests that were active at `open`. Their creation may not be recorded.

    Args:
        kubernetes: The client.
        namespace: The controller namespace.
        calls: Makes the calls.
        observer: Observes the calls.
    """

    def __init__(
        self, kubernetes: KubernetesClient, *, namespace: str, calls: ApiCalls, observer: CallObserver
    ) -> None:
        self.namespace = namespace
        self.namespace_uid = ""
        self.inherited_uids: set[str] = set()
        self._kubernetes = kubernetes
        self._calls = calls
        self._observer = observer
        self._index: RemediationRequestIndex | None = None
        self._opened = AsyncExitStack()

    async def open(self) -> None:
        """Wait until the index is complete.

        Raises:
            KubernetesError: The API is not available, or lacks the namespace or the CRD.
        """
        self._index = await self._opened.enter_async_context(self._kubernetes.index(self.namespace))
        self.namespace_uid = self._index.namespace_uid
        self.inherited_uids = set(self._index.active_uids())

    async def close(self) -> None:
        """Release the index."""
        try:
            await self._opened.aclose()
        finally:
            self._index = None

    @property
    def is_alive(self) -> bool:
        """Whether the index is open, complete and current."""
        return self._index is not None and self._index.is_alive

    @property
    def index(self) -> RemediationRequestIndex:
        """The index of the controller namespace.

        Raises:
            GatewayError: `open` was not called.
        """
        if self._index is None:
            raise GatewayError(f"the index of RemediationRequests in {self.namespace} is not open: call open() first")
        return self._index

    async def until_watched(self, *, deadline: float) -> None:
        """Wait until the index receives changes: at once, or as soon as a lost watch is replaced by a new list.

        Args:
            deadline: Time of the running loop after which the wait ends.

        Raises:
            Undecided: The watch is still lost.
        """
        if self.index.is_watched:
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + _LONGEST_WAIT)):
                await self.index.until_watched()
        except TimeoutError as exc:
            raise Undecided("the watch of RemediationRequests is lost") from exc

    async def create(self, manifest: dict[str, Any], *, deadline: float, failures: FailedAttempts) -> RemediationRecord:
        """Create a RemediationRequest.

        Args:
            manifest: The object.
            deadline: Time of the running loop after which no further attempt starts.
            failures: Records each failed attempt.

        Raises:
            KubernetesError: The error of the last attempt.
            WatchLost: The watch was lost before an attempt. An earlier attempt may have been carried out.
        """
        created = await self._calls.call(partial(self._create, manifest), deadline=deadline, failures=failures)
        return self.index.note(created)

    async def _create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        if not self.index.is_watched:
            raise WatchLost("the watch of RemediationRequests is lost")
        return await self._kubernetes.create_remediation_request(manifest, observer=self._observer)

    async def read(self, name: str, *, deadline: float) -> dict[str, Any] | None:
        """Read a RemediationRequest from the API, not from the index.

        Args:
            name: Name of the object.
            deadline: Time of the running loop after which no further attempt starts.

        Returns:
            The object; None if it does not exist.

        Raises:
            KubernetesError: The error of the last attempt.
        """
        get = partial(self._kubernetes.get_remediation_request, self.namespace, name, observer=self._observer)
        try:
            found = await self._calls.call(get, deadline=deadline)
        except NotFound:
            return None
        self.index.note(found)
        return found

    async def patch_status(
        self, name: str, patch: Mapping[str, Any], *, deadline: float, failures: FailedAttempts
    ) -> dict[str, Any]:
        """Apply a merge patch to the status of a RemediationRequest.

        Args:
            name: Name of the object.
            patch: The merge patch; with `metadata.resourceVersion` it applies to this version only.
            deadline: Time of the running loop after which no further attempt starts.
            failures: Records each failed attempt.

        Returns:
            The patched object.

        Raises:
            KubernetesError: The error of the last attempt.
        """
        send = partial(
            self._kubernetes.patch_remediation_request_status, self.namespace, name, patch, observer=self._observer
        )
        patched = await self._calls.call(send, deadline=deadline, failures=failures)
        self.index.note(patched)
        return patched

    def forget(self, uid: str) -> None:
        """Remove an object from the index that the API does not have any more."""
        self.index.forget(uid)


@dataclass(frozen=True, slots=True)
class CreatedFrom:
    """The origin of a RemediationRequest, read from the object.

    Attributes:
        signal: The signal that the object was created for, without its sender.
        signal_type: `signalType` of the adapter.
        decided_at: Time of the decision to create the object.
    """

    signal: Signal
    signal_type: str
    decided_at: datetime


def remediation_request_name(
    *, namespace_uid: str, fingerprint: str, previous_uid: str | None = None, clashes: int = 0
) -> str:
    """Derive the name of the next RemediationRequest of a problem.

    The same cluster, problem and history give the same name in every replica.

    Args:
        namespace_uid: uid of the controller namespace; it differs in every cluster.
        fingerprint: The fingerprint of the problem.
        previous_uid: uid of the newest ended RemediationRequest of the problem, if any.
        clashes: Number of names before this one that other problems had taken.

    Returns:
        A name that matches `^rr-[a-f0-9]{12}-[a-f0-9]{8}$`.
    """
    history = f"{namespace_uid}:{fingerprint}:{previous_uid or ''}:{clashes}"
    return f"rr-{fingerprint[:12]}-{sha256(history.encode()).hexdigest()[:8]}"


def newest_ended(
    records: Iterable[RemediationRecord], *, namespace_uid: str, fingerprint: str
) -> RemediationRecord | None:
    """Return the newest ended RemediationRequest of a problem; None if there is none.

    creationTimestamp has a resolution of one second, and a RemediationRequest can end sooner. But each name is derived
    from the uid before it, so the chain of names, from the newest timestamp on, gives the order.

    Args:
        records: RemediationRequests of the fingerprint; active ones are skipped.
        namespace_uid: uid of the controller namespace.
        fingerprint: The fingerprint of the problem.
    """
    ended: dict[str, RemediationRecord] = {}
    for record in records:
        if not record.is_active:
            ended[record.name] = record
    if not ended:
        return None
    newest = max(ended.values(), key=lambda record: (record.created_at, record.name))
    while True:
        del ended[newest.name]
        names = (
            remediation_request_name(
                namespace_uid=namespace_uid, fingerprint=fingerprint, previous_uid=newest.uid, clashes=clashes
            )
            for clashes in range(MAX_CLASHES)
        )
        successor = next((ended[name] for name in names if name in ended), None)
        if successor is None:
            return newest
        newest = successor


def remediation_request_manifest(
    signal: Signal, *, name: str, namespace: str, signal_type: str, idempotency_key: str, created_at: str
) -> dict[str, Any]:
    """Build the object to create.

    Labels, annotations and payload are complete, unless the object would exceed 1 MiB.

    Args:
        signal: A firing signal.
        name: Name of the object.
        namespace: The controller namespace.
        signal_type: `signalType` of the adapter, such as `alert`.
        idempotency_key: Value of the annotation that identifies our own create after a lost response.
        created_at: The current time in RFC 3339.
    """
    assert signal.target is not None, "a firing signal has a target"
    encoded = orjson.dumps(signal.payload)
    labels, annotations = dict(signal.labels), dict(signal.annotations)
    if len(encoded) + len(orjson.dumps([labels, annotations])) <= _MAX_OBJECT_BYTES // 4:
        payload = encoded.decode()
    else:
        payload = cut_utf8(encoded, _SHARE_BYTES)
        labels, annotations = cut_mapping(labels, _SHARE_BYTES), cut_mapping(annotations, _SHARE_BYTES)

    target = {"kind": signal.target.kind, "name": signal.target.name, "apiVersion": signal.target.api_version}
    if signal.target.namespace is not None:
        target["namespace"] = signal.target.namespace
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "RemediationRequest",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict(_LABELS),
            "annotations": {_CREATED_AT_ANNOTATION: created_at, _REQUEST_ANNOTATION: idempotency_key},
        },
        "spec": {
            "signalFingerprint": signal.fingerprint,
            "signalName": signal.name,
            "severity": signal.severity,
            "signalType": signal_type,
            "targetType": "kubernetes",
            "signalSource": signal.source,
            "targetResource": target,
            "firingTime": rfc3339(signal.fired_at),
            "receivedTime": rfc3339(signal.received_at),
            "signalLabels": labels,
            "signalAnnotations": annotations,
            "providerData": orjson.dumps({"labels": labels, "namespace": signal.namespace}).decode(),
            "originalPayload": payload,
        }
        | ({"clusterID": signal.cluster_id} if signal.cluster_id is not None else {}),
    }


def idempotency_key_in(request: Mapping[str, Any]) -> str | None:
    """Return the idempotency key of a RemediationRequest; None if no gateway created it."""
    key: str | None = (request["metadata"].get("annotations") or {}).get(_REQUEST_ANNOTATION)
    return key


def created_from(request: Mapping[str, Any]) -> CreatedFrom:
    """Read the origin of a RemediationRequest from the object that `remediation_request_manifest` built.

    Args:
        request: A RemediationRequest with an idempotency key, as the API sent it.
    """
    metadata, spec = request["metadata"], request["spec"]
    target = spec["targetResource"]
    signal = Signal(
        name=spec["signalName"],
        severity=spec["severity"],
        status="firing",
        source=spec["signalSource"],
        target=Target(target["kind"], target["name"], target.get("namespace"), target["apiVersion"]),
        cluster_id=spec.get("clusterID"),
        namespace=orjson.loads(spec["providerData"])["namespace"],
        labels=spec.get("signalLabels") or {},
        annotations=spec.get("signalAnnotations") or {},
        fired_at=parse_rfc3339(spec["firingTime"]),
        received_at=parse_rfc3339(spec["receivedTime"]),
        payload=_payload(spec["originalPayload"]),
    )
    return CreatedFrom(
        signal,
        signal_type=spec["signalType"],
        decided_at=parse_rfc3339(metadata["annotations"].get(_CREATED_AT_ANNOTATION, spec["receivedTime"])),
    )


def _payload(text: str) -> dict[str, Any]:
    try:
        payload: dict[str, Any] = orjson.loads(text)
    except orjson.JSONDecodeError:  # the payload was too large and is truncated
        return {"json": text}
    return payload
