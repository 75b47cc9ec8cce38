"""fingerprint_of: the hash that identifies the problem of a signal."""

from hashlib import sha256

from signal_gateway.gateway.signals.target import Target

__all__ = ["fingerprint_of"]


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
