"""Which problem a signal is about, as one hash."""

from hashlib import sha256

from signal_gateway.gateway.signals.target import Target

__all__ = ["fingerprint_of"]


def fingerprint_of(target: Target, *, cluster_id: str | None = None) -> str:
    """Hash the target; the alert's name and severity are no part of it, so that one workload is one problem.

    Args:
        target: What the signal is about.
        cluster_id: Which cluster it is in, if signals of several come in.

    Returns:
        Lower-case hex SHA-256 of `[cluster:]namespace:Kind:name`.
    """
    identity = f"{target.namespace or ''}:{target.kind}:{target.name}"
    if cluster_id:
        identity = f"{cluster_id}:{identity}"
    return sha256(identity.encode()).hexdigest()
