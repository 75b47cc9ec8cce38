"""ChainVerifier: compares links, rows and purges, chunk by chunk, and finds the first place that is not as it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from signal_gateway.datastorage.integrity.checkpoint import Checkpoint
from signal_gateway.datastorage.integrity.columns import RepeatedColumns
from signal_gateway.datastorage.integrity.link import ChainHead, Link, Manifest, event_hash

__all__ = [
    "WHOLE_CHAIN",
    "Alteration",
    "ChainChunk",
    "ChainEnd",
    "ChainVerdict",
    "ChainVerifier",
    "StoredLink",
    "Window",
]


@dataclass(frozen=True, slots=True)
class Window:
    """The links whose events are compared, by their time. The links themselves are all verified.

    Attributes:
        since: The earliest time in microseconds since the epoch, inclusive; None from the first link.
        until: The latest time, inclusive; None up to the newest link.
    """

    since: int | None = None
    until: int | None = None

    def has(self, link: Link) -> bool:
        """Return whether the events of a link are compared: those of a batch within the window."""
        return (
            link.kind == "batch"
            and (self.since is None or link.sealed_at >= self.since)
            and (self.until is None or link.sealed_at <= self.until)
        )


WHOLE_CHAIN = Window()
"""The window of every link."""


@dataclass(frozen=True, slots=True)
class StoredLink:
    """A link and its manifest, as the database has them; the manifest is None outside of the window."""

    link: Link
    manifest: bytes | None


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """The state of the database beyond its links, read at the same moment as the last chunk.

    Attributes:
        head: The head; None if its row is missing.
        events: The number of stored events.
        newest: The highest sequence of an event; 0 without events.
        unsealed: The sequence and id of an event in no link, if the backend searched for it and found one.
    """

    head: ChainHead | None
    events: int
    newest: int
    unsealed: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class ChainChunk:
    """Consecutive links with their rows, all read at the same moment.

    Attributes:
        links: The links, by number.
        rows: The stored events with an id or sequence of the manifests, as tuples of columns.
        purged: The number of the purge link, by sequence, for the sequences of the manifests.
        end: The state of the rest if no link follows; None otherwise.
    """

    links: Sequence[StoredLink]
    rows: Sequence[Sequence[Any]]
    purged: Mapping[int, int]
    end: ChainEnd | None = None


@dataclass(frozen=True, slots=True)
class Alteration:
    """The first place that is not as DataStorage left it.

    Attributes:
        reason: The alteration as a sentence.
        link: The number of the link.
        sequence: The sequence of the event, if the alteration is one of an event.
        event_id: The id of the event, likewise.
    """

    reason: str
    link: int | None = None
    sequence: int | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """The result of a verification.

    Attributes:
        finding: The first alteration; None if everything is complete and unaltered.
        links: The verified links.
        events: The events that were compared.
        all_events: The events of the verified links, purged ones included.
        purged: The events that are gone lawfully, among those of the verified links.
        checkpoint: The end of the verified chain; None with a finding.
    """

    finding: Alteration | None
    links: int
    events: int
    all_events: int
    purged: int
    checkpoint: Checkpoint | None


_CLOCK_SKEW = 5 * 60 * 1_000_000
"""Microseconds by which the clocks of two replicas may differ, or a clock may be set back."""


class _Altered(Exception):  # noqa: N818 - ends the verification
    def __init__(self, finding: Alteration) -> None:
        super().__init__(finding.reason)
        self.finding = finding


@dataclass(slots=True)
class _Claim:
    """The events that a purge link must account for: their number, and the one with the latest end of retention."""

    count: int = 0
    latest_expiry: int = -(2**63)
    place: Alteration = field(default_factory=lambda: Alteration(""))


class ChainVerifier:
    """Verifies a chain that is read in chunks. It does no I/O.

    Inserts and purges may go on between the chunks. A purge after `start` deletes events that were compared before, so
    its events are counted only from above, and its time is later than `now`. The next verification is strict with it.

    Args:
        columns: The names of the columns of a row, in order.
        window: The links whose events are compared.
        checkpoint: A position that the chain must contain.
        now: Microseconds since the epoch. A purge before `start` is not lawful if it is 5 minutes later than this.
    """

    def __init__(
        self, columns: Sequence[str], *, window: Window = WHOLE_CHAIN, checkpoint: Checkpoint | None = None, now: int
    ) -> None:
        self._repeated = RepeatedColumns(columns)
        self._columns = tuple(columns)
        self._sequence, self._event_id = columns.index("sequence"), columns.index("event_id")
        self._stored = [columns.index(name) for name in ("received_at", "envelope", "event_data")]
        self._expires_at = columns.index("expires_at")
        self._window = window
        self._checkpoint = checkpoint
        self._now = now
        self._head: ChainHead | None = None
        self._newest_at_start = 0  # number of a link
        self._sealed_at = 0
        self._newest = 0
        self._events = 0
        self._purges: dict[int, Link] = {}
        self._claims: dict[int, _Claim] = {}
        self._finding: Alteration | None = None

    @property
    def position(self) -> ChainHead:
        """The end of the verified part of the chain.

        Raises:
            RuntimeError: There is no chain.
        """
        if self._head is None:
            raise RuntimeError("there is no chain to verify: start() got no head")
        return self._head

    def start(self, head: ChainHead | None) -> bool:
        """Begin with the head of the chain, for the id of the DataStorage.

        Args:
            head: None if the head, or a table of the chain, is missing.

        Returns:
            Whether a chunk is needed: everything is unaltered so far.
        """
        try:
            if head is None:
                raise _Altered(
                    Alteration("the chain is missing: audit_chain, or another of its tables, was deleted or emptied")
                )
            self._head = ChainHead.start(head.datastorage)
            self._newest_at_start = head.number
            if self._checkpoint is not None:
                if self._checkpoint.datastorage != head.datastorage:
                    raise _Altered(
                        Alteration(
                            f"the checkpoint is of DataStorage {self._checkpoint.datastorage}, this database has the "
                            f"chain of {head.datastorage}: it is another database, or its chain was made anew"
                        )
                    )
                self._compare_checkpoint()
        except _Altered as altered:
            self._finding = altered.finding
        return self._finding is None

    def add(self, chunk: ChainChunk) -> bool:
        """Verify the next chunk.

        Returns:
            Whether a further chunk is needed: this one was not the last, and everything is unaltered so far.
        """
        if self._finding is not None:
            return False
        try:
            self._add(chunk)
        except _Altered as altered:
            self._finding = altered.finding
            return False
        return chunk.end is None

    def verdict(self) -> ChainVerdict:
        """Return the result after the last chunk."""
        purged = sum(claim.count for claim in self._claims.values())
        head, checkpoint = self._head, None
        if self._finding is None and head is not None:
            checkpoint = Checkpoint(head.datastorage, head.number, head.total, head.hash, self._sealed_at)
        links, all_events = (0, 0) if head is None else (head.number, head.total)
        return ChainVerdict(self._finding, links, self._events, all_events, purged, checkpoint)

    def _add(self, chunk: ChainChunk) -> None:
        rows = {row[self._sequence]: row for row in chunk.rows}
        known: set[int] = set()
        known_ids: set[str] = set()
        for stored in chunk.links:
            self._verify_link(stored.link)
            if self._window.has(stored.link):
                manifest = self._manifest(stored)
                self._verify_events(stored.link, manifest, rows, chunk)
                known.update(manifest.sequences)
                known_ids.update(manifest.event_ids)
                self._newest = max(self._newest, max(manifest.sequences))
        for sequence, row in rows.items() if self._window == WHOLE_CHAIN else ():
            # an event that was sent again after its purge has a later link
            if sequence not in known and row[self._event_id].replace("-", "") not in known_ids:
                raise _Altered(self._unsealed(sequence, row[self._event_id]))
        if chunk.end is not None:
            self._verify_end(chunk.end)

    def _verify_link(self, link: Link) -> None:
        assert self._head is not None, "start comes first"
        if link.number != self._head.number + 1:
            raise _Altered(
                Alteration(f"link {self._head.number + 1} is missing: it was deleted", link=self._head.number + 1)
            )
        stored, purged = (link.count, 0) if link.kind == "batch" else (0, link.count)
        if (
            link.hash != link.expected_hash(self._head.hash)
            or link.total != self._head.total + stored
            or link.purged != self._head.purged + purged
        ):
            raise _Altered(Alteration(f"link {link.number} was changed: its hash does not follow", link=link.number))
        if link.kind == "purge":
            self._verify_purge(link)
        self._head, self._sealed_at = self._head.after(link), link.sealed_at
        self._compare_checkpoint()

    def _verify_purge(self, link: Link) -> None:
        if link.number <= self._newest_at_start and link.sealed_at > self._now + _CLOCK_SKEW:
            raise _Altered(Alteration(f"link {link.number} is a purge in the future", link=link.number))
        self._purges[link.number] = link

    def _manifest(self, stored: StoredLink) -> Manifest:
        link = stored.link
        if stored.manifest is None:
            raise _Altered(Alteration(f"the manifest of link {link.number} is missing", link=link.number))
        if sha256(stored.manifest).digest() != link.digest:
            raise _Altered(Alteration(f"the manifest of link {link.number} was changed", link=link.number))
        manifest = Manifest.unpack(stored.manifest)
        if not len(manifest.sequences) == link.count > 0:
            raise _Altered(
                Alteration(f"the manifest of link {link.number} has not {_events(link.count)}", link=link.number)
            )
        return manifest

    def _verify_events(
        self, link: Link, manifest: Manifest, rows: Mapping[int, Sequence[Any]], chunk: ChainChunk
    ) -> None:
        received, envelope, event_data = self._stored
        for index, sequence in enumerate(manifest.sequences):
            row = rows.get(sequence)
            if row is None:
                self._claim(link, manifest, index, chunk)
                continue
            reason = None
            if event_hash(row[received], row[envelope], row[event_data]) != manifest.hashes[index]:
                reason = "its received_at, envelope or event_data was changed"
            elif (column := self._repeated.first_different(row)) is not None:
                reason = f"its column {column} was changed"
            elif sequence in chunk.purged:
                reason = f"it is stored, and purge link {chunk.purged[sequence]} says that it was deleted"
            if reason is not None:
                raise _Altered(self._place(link, manifest, index, reason))
        self._events += link.count

    def _claim(self, link: Link, manifest: Manifest, index: int, chunk: ChainChunk) -> None:
        """Note that a purge must account for a missing row."""
        purge = chunk.purged.get(manifest.sequences[index])
        if purge is None:
            event_id = manifest.event_ids[index]
            for row in chunk.rows:
                if row[self._event_id].replace("-", "") == event_id and row[self._sequence] not in manifest.sequences:
                    raise _Altered(
                        self._place(link, manifest, index, f"its column sequence is {row[self._sequence]} now")
                    )
            raise _Altered(self._place(link, manifest, index, "it was deleted, and no purge says so"))
        claim = self._claims.setdefault(purge, _Claim())
        claim.count += 1
        expiry = manifest.expiries[index]
        if expiry > claim.latest_expiry:
            claim.latest_expiry = expiry
            claim.place = self._place(link, manifest, index, "it was deleted before the end of its retention")

    def _place(self, link: Link, manifest: Manifest, index: int, reason: str) -> Alteration:
        event_id, sequence = manifest.event_id(index), manifest.sequences[index]
        return Alteration(
            f"event {event_id} (sequence {sequence}, link {link.number}): {reason}", link.number, sequence, event_id
        )

    def _unsealed(self, sequence: int, event_id: str | None = None) -> Alteration:
        which = f"the event with sequence {sequence}" if event_id is None else f"event {event_id} (sequence {sequence})"
        return Alteration(
            f"{which} is in no link: it was inserted past DataStorage, or by a release without links",
            sequence=sequence,
            event_id=event_id,
        )

    def _compare_checkpoint(self) -> None:
        checkpoint, head = self._checkpoint, self._head
        if checkpoint is None or head is None or head.number != checkpoint.position:
            return
        if head.hash != checkpoint.hash or head.total != checkpoint.count:
            raise _Altered(
                Alteration(
                    f"link {head.number} is not the one of the checkpoint: the chain up to it was written anew",
                    link=head.number,
                )
            )

    def _verify_end(self, end: ChainEnd) -> None:
        head = self._head
        assert head is not None, "start comes first"
        if end.head != head:
            last = "missing" if end.head is None else f"link {end.head.number}"
            raise _Altered(
                Alteration(
                    f"the chain ends with link {head.number}, its head is {last}: links were deleted, or the head was "
                    "changed",
                    link=head.number,
                )
            )
        if self._checkpoint is not None and head.number < self._checkpoint.position:
            raise _Altered(
                Alteration(
                    f"the chain ends with link {head.number}, the checkpoint has link {self._checkpoint.position}: "
                    "links and their events were deleted",
                    link=head.number,
                )
            )
        self._verify_claims()
        self._verify_count(end, head)

    def _verify_claims(self) -> None:
        is_whole = self._window == WHOLE_CHAIN
        for number, claim in sorted(self._claims.items()):
            purge = self._purges.get(number)
            if purge is None or claim.latest_expiry > purge.sealed_at:
                raise _Altered(claim.place)
            if claim.count > purge.count:
                raise _Altered(
                    Alteration(
                        f"purge link {number} deleted {_events(purge.count)}, and the records have {claim.count}",
                        link=number,
                    )
                )
        if is_whole:
            for number, purge in self._purges.items():
                found = self._claims.get(number, _Claim()).count
                if number <= self._newest_at_start and found != purge.count:
                    raise _Altered(
                        Alteration(
                            f"purge link {number} deleted {_events(purge.count)}, and the records have {found}",
                            link=number,
                        )
                    )

    def _verify_count(self, end: ChainEnd, head: ChainHead) -> None:
        expected = head.total - head.purged
        if end.events == expected:
            return
        if end.events < expected:
            missing = expected - end.events
            was = "was" if missing == 1 else "were"
            raise _Altered(Alteration(f"{_events(missing)} outside of the window {was} deleted"))
        if end.unsealed is not None:
            raise _Altered(self._unsealed(*end.unsealed))
        if end.newest > self._newest and self._window.until is None:
            raise _Altered(self._unsealed(end.newest))
        surplus = end.events - expected
        raise _Altered(Alteration(f"{_events(surplus)} in no link: inserted past DataStorage"))


def _events(number: int) -> str:
    return "1 event" if number == 1 else f"{number} events"
