"""Kubelet: what the container of a deployed workload finds, on this machine instead of in a pod."""

import re
from pathlib import Path
from typing import Any

from tests.support.deploy_manifests import Json, pods_of

__all__ = ["Kubelet"]

_VARIABLE = re.compile(r"\$\((\w+)\)")


class Kubelet:
    """Lays a workload's files out below a folder, which stands for the root of the container's file system.

    Args:
        folder: Where to write them.
        contents: Data of ConfigMaps and Secrets, by the objects' names and their keys.
    """

    def __init__(self, folder: Path, contents: dict[str, dict[str, str]]) -> None:
        self._folder = folder
        self._contents = contents

    def path(self, inside: str) -> Path:
        """Return where a path of the container really is."""
        return self._folder / inside.lstrip("/")

    def mount(self, workload: Json) -> None:
        """Write the files of its ConfigMaps and Secrets."""
        volumes = {one["name"]: one for one in pods_of(workload)["volumes"]}
        for mount in self._container(workload)["volumeMounts"]:
            volume = volumes.get(mount["name"], {})
            name = volume.get("configMap", {}).get("name") or volume.get("secret", {}).get("secretName")
            for key, text in self._contents.get(name, {}).items():
                file = self.path(mount["mountPath"]) / key
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
                file.chmod(volume.get("secret", {}).get("defaultMode", 0o644))

    def environment(self, workload: Json) -> dict[str, str]:
        """Return its variables."""
        found = {}
        for variable in self._container(workload).get("env", ()):
            reference = variable["valueFrom"]["secretKeyRef"]
            found[variable["name"]] = self._contents[reference["name"]][reference["key"]]
        return found

    def arguments(self, workload: Json) -> list[str]:
        """Return its arguments: variables put in, and paths such as they are here."""
        variables = self.environment(workload)
        expanded = (_VARIABLE.sub(lambda found: variables[found[1]], one) for one in self._container(workload)["args"])
        return [re.sub(r"(?<![^=])/.*", lambda found: str(self.path(found[0])), one) for one in expanded]

    @staticmethod
    def _container(workload: Json) -> dict[str, Any]:
        [container] = pods_of(workload)["containers"]
        return dict(container)
