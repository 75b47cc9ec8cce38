"""The kubeconfig of an embedded cluster."""

from typing import Any

__all__ = ["kubeconfig_of"]


def kubeconfig_of(url: str, *, token: str = "") -> dict[str, Any]:
    """Return a kubeconfig for a cluster on plain HTTP.

    Args:
        url: Where its API answers.
        token: What its user sends, if it wants any.
    """
    # "insecure" spares each client the 20 ms of an SSL context that plain HTTP has no use for
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "embedded",
        "clusters": [{"name": "embedded", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "embedded", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "embedded", "context": {"cluster": "embedded", "user": "embedded"}}],
    }
