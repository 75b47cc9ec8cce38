"""The RemediationRequests of one namespace, by fingerprint, as far as this process has heard of them."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from signal_gateway.clock import Clock
from signal_gateway.kubernetes.errors import KubernetesError
from signal_gateway.kubernetes.remediation_request import RemediationRecord

__all__ = ["SECONDS_WITHOUT_A_SIGN_OF_LIFE", "RemediationRequestIndex"]

SECONDS_WITHOUT_A_SIGN_OF_LIFE: Final = 90.0


class RemediationRequestIndex:
    """What a list and a watch said, with the answers to one's own writes folded in.

    `follow` feeds it; everybody else looks things up and tells it of their writes. All of it runs on one loop
    and nothing awaits, so a look-up and a note are never interrupted.

    Args:
        namespace: Whose RemediationRequests these are.
        clock: Tells how long ago the last sign of life was.
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
        # everything up to here is in the tables, so what is not in them and not newer is gone
        self._heard_up_to = 0
        self._noted_while_listing: dict[str, RemediationRecord] | None = None

    @property
    def namespace_uid(self) -> str:
        """The namespace's own uid: different in every cluster, so what is derived from it is too."""
        if self._namespace_uid is None:
            raise KubernetesError(f"the uid of namespace {self.namespace} is not known yet: wait until it is synced")
        return self._namespace_uid

    @property
    def resource_version(self) -> str:
        """Up to where everything is known: where a watch goes on."""
        return str(self._heard_up_to)

    @property
    def is_synced(self) -> bool:
        """Whether the first list is complete."""
        return self._is_synced

    @property
    def is_alive(self) -> bool:
        """Whether it is synced and had a sign of life within the last 90 seconds."""
        silence = self._clock.monotonic() - self._last_sign_of_life
        return self.is_synced and silence <= SECONDS_WITHOUT_A_SIGN_OF_LIFE

    @property
    def is_watched(self) -> bool:
        """Whether changes are heard of as they happen; not from the failure of a watch until the next complete list."""
        return self._is_watched.is_set()

    async def until_watched(self) -> None:
        """Return as soon as changes are heard of."""
        await self._is_watched.wait()

    @property
    def last_error(self) -> KubernetesError | None:
        """Why nothing was heard since the last sign of life; None while all is well."""
        return self._last_error

    def by_fingerprint(self, fingerprint: str) -> tuple[RemediationRecord, ...]:
        """Return what is known about a problem, the oldest first.

        Args:
            fingerprint: 64 hex digits.
        """
        records = self._by_fingerprint.get(fingerprint)
        if not records:
            return ()
        return tuple(sorted(records.values(), key=lambda record: (record.created_at, record.name)))

    def active_uids(self) -> Iterator[str]:
        """Yield the uids of all that are active."""
        return (record.uid for record in self._by_uid.values() if record.is_active)

    def note(self, obj: Mapping[str, Any]) -> None:
        """Fold in the answer to one's own write or read, ahead of the watch.

        What is known already stays when it is newer, and what the watch has seen deleted does not come back.

        Args:
            obj: A RemediationRequest in the API's JSON shape.

        Raises:
            ApiUnavailable: It can't be read.
        """
        record = RemediationRecord.from_object(obj)
        if self._noted_while_listing is not None:
            earlier = self._noted_while_listing.get(record.uid)
            self._noted_while_listing[record.uid] = record if earlier is None else _newer(earlier, record)
        if record.uid in self._by_uid or int(record.resource_version) > self._heard_up_to:
            self._put(record)

    def forget(self, uid: str) -> None:
        """Drop what one's own call found gone; unknown uids are fine.

        Args:
            uid: Of the object that the API answered 404 for.
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
        """Take note that a list is asked for: what is noted from now on may be missing in it."""
        self._noted_while_listing = {}

    def replace(self, records: Iterable[RemediationRecord], resource_version: str) -> None:
        """Take over a complete list.

        Args:
            records: All there are.
            resource_version: Of the list.
        """
        self._by_uid.clear()
        self._by_fingerprint.clear()
        self._heard_up_to = int(resource_version)
        for record in records:
            self._put(record)
        for record in (self._noted_while_listing or {}).values():
            if int(record.resource_version) > self._heard_up_to:
                self._put(record)
        self._noted_while_listing = None
        self._is_synced = True
        self._is_watched.set()
        self.mark_alive()

    def apply(self, event_type: str, obj: Mapping[str, Any]) -> None:
        """Take over an event of the watch.

        Args:
            event_type: `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`.
            obj: The object that it is about, in the API's JSON shape.

        Raises:
            ApiUnavailable: The object can't be read.
        """
        if event_type == "BOOKMARK":
            resource_version = int(obj["metadata"]["resourceVersion"])
        else:
            record = RemediationRecord.from_object(obj)
            resource_version = int(record.resource_version)
            if event_type == "DELETED":
                self.forget(record.uid)
            else:
                self._put(record)
        self._heard_up_to = max(self._heard_up_to, resource_version)
        self.mark_alive()

    def identify(self, namespace: Mapping[str, Any]) -> None:
        """Take over the namespace's uid.

        Args:
            namespace: The Namespace in the API's JSON shape.
        """
        self._namespace_uid = namespace["metadata"]["uid"]

    def mark_alive(self) -> None:
        """Take note of a sign of life."""
        self._last_sign_of_life = self._clock.monotonic()
        self._last_error = None

    def mark_failed(self, error: KubernetesError) -> None:
        """Keep why the last attempt to hear anything failed; what happens from now on is not heard of."""
        self._last_error = error
        self._is_watched.clear()

    def _put(self, record: RemediationRecord) -> None:
        known = self._by_uid.get(record.uid)
        if known is not None:
            record = _newer(known, record)
        self._by_uid[record.uid] = record
        self._by_fingerprint.setdefault(record.fingerprint, {})[record.uid] = record


def _newer(known: RemediationRecord, heard: RemediationRecord) -> RemediationRecord:
    """Return the one of two states of an object that came later; resourceVersions are etcd's, numbers that grow."""
    return known if int(known.resource_version) > int(heard.resource_version) else heard
