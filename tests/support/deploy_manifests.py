"""The manifests of `examples/deploy`, put together as kustomize does it, and what a test asks of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

__all__ = ["FOLDER", "Json", "deployed", "monitoring", "pods_of", "read", "secrets", "selects", "workloads"]

FOLDER = Path(__file__).parents[2] / "examples" / "deploy"

Json = dict[str, Any]


def read(path: Path) -> list[Json]:
    return list(yaml.safe_load_all(path.read_text()))


def deployed() -> list[Json]:
    """Return what `kubectl apply -k examples/deploy` creates, but for the hash in a generated name."""
    return list(_objects_of(FOLDER))


def monitoring() -> list[Json]:
    """Return what `kubectl apply -k examples/deploy/monitoring` creates."""
    return list(_objects_of(FOLDER / "monitoring"))


def secrets() -> list[Json]:
    """Return the Secrets that somebody fills in and applies by hand."""
    return read(FOLDER / "secrets.example.yaml")


def workloads(objects: list[Json]) -> list[Json]:
    return [one for one in objects if one["kind"] in ("Deployment", "StatefulSet")]


def pods_of(workload: Json) -> Json:
    """Return the spec of a workload's pods."""
    spec: Json = workload["spec"]["template"]["spec"]
    return spec


def selects(labels: Json, workload: Json) -> bool:
    """Return whether labels select the pods of a workload."""
    return bool(labels.items() <= workload["spec"]["template"]["metadata"]["labels"].items())


def _objects_of(folder: Path) -> Iterator[Json]:
    [kustomization] = read(folder / "kustomization.yaml")
    for resource in kustomization["resources"]:
        path = folder / resource
        yield from _objects_of(path) if path.is_dir() else read(path)
    for generator in kustomization.get("configMapGenerator", ()):
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": generator["name"], "namespace": generator["namespace"]},
            "data": {file: (folder / file).read_text() for file in generator["files"]},
        }
