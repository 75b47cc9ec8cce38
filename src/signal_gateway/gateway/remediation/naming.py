"""Derived names: the same cluster, problem and history give the same name, on every replica."""

from collections.abc import Iterable
from hashlib import sha256

from signal_gateway.kubernetes import RemediationRecord

__all__ = ["MAX_CLASHES", "newest_ended", "remediation_request_name"]

MAX_CLASHES = 8


def remediation_request_name(
    *, namespace_uid: str, fingerprint: str, previous_uid: str | None = None, clashes: int = 0
) -> str:
    """Return the name of the next RemediationRequest of a problem.

    Args:
        namespace_uid: uid of the controller namespace: it makes the name another one in every cluster.
        fingerprint: The problem.
        previous_uid: uid of the problem's newest ended RemediationRequest, if it had one.
        clashes: How many names before this one were taken by another problem.

    Returns:
        A name that matches `^rr-[a-f0-9]{12}-[a-f0-9]{8}$`.
    """
    history = f"{namespace_uid}:{fingerprint}:{previous_uid or ''}:{clashes}"
    return f"rr-{fingerprint[:12]}-{sha256(history.encode()).hexdigest()[:8]}"


def newest_ended(
    records: Iterable[RemediationRecord], *, namespace_uid: str, fingerprint: str
) -> RemediationRecord | None:
    """Return the newest of a problem's ended RemediationRequests.

    creationTimestamp counts whole seconds, and episodes of a problem can be shorter. But each name is derived
    from the uid before it, so from the newest timestamp on the chain of names tells which one came last.

    Args:
        records: RemediationRequests of the fingerprint; those still active are passed over.
        namespace_uid: uid of the controller namespace.
        fingerprint: The problem.
    """
    ended = {record.name: record for record in records if not record.is_active}
    newest = max(ended.values(), key=lambda record: (record.created_at, record.name), default=None)
    while newest is not None:
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
    return None
