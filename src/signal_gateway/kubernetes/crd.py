"""The RemediationRequest's CustomResourceDefinition, as it ships in this package."""

import functools
from pathlib import Path
from typing import Any

import orjson
import yaml

__all__ = ["crd_manifest", "crd_path"]


def crd_path() -> Path:
    """Return where the manifest lies, for `kubectl apply -f`."""
    return Path(__file__).parent / "manifests" / "remediationrequests.yaml"


def crd_manifest() -> dict[str, Any]:
    """Read the manifest.

    Returns:
        A CustomResourceDefinition (apiextensions.k8s.io/v1) in the API's JSON shape, the caller's to change.
    """
    manifest: dict[str, Any] = orjson.loads(_manifest_as_json())
    return manifest


@functools.cache
def _manifest_as_json() -> bytes:
    # not the C loader, 9 ms faster: it fails when PyYAML is imported anew, as in pytester's sessions inside a session
    return orjson.dumps(yaml.safe_load(crd_path().read_bytes()))
