"""The kubeconfig of an embedded cluster, which serves plain HTTP."""

from typing import Any

__all__ = ["plain_http_kubeconfig"]


def plain_http_kubeconfig(url: str, *, token: str = "") -> dict[str, Any]:
    """Return a kubeconfig for a cluster that serves plain HTTP.

    Args:
        url: The URL of its API.
        token: The bearer token of the user; empty for none.
    """
    # without "insecure" each client would create an SSL context (20 ms) that plain HTTP does not need
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "embedded",
        "clusters": [{"name": "embedded", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "embedded", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "embedded", "context": {"cluster": "embedded", "user": "embedded"}}],
    }
