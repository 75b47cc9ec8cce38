"""Where settings come from: read a YAML file and environment variables, and keep each value's source.

pydantic-settings is silent about a missing file, a key given twice, a misspelt variable and a list at the root.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from signal_gateway.errors import ConfigurationError
from signal_gateway.gateway.setting_errors import SettingError
from signal_gateway.web.secrets import MASK, is_secret_name, masked

__all__ = [
    "ENVIRONMENT_PREFIX",
    "POD_NAMESPACE_FILE",
    "Sourced",
    "read_environment",
    "read_pod_namespace",
    "read_yaml",
]

ENVIRONMENT_PREFIX = "SIGNAL_GATEWAY__"
POD_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_Path = tuple[str, ...]


class Sourced:
    """Settings by path, each with its source; what comes later overrides.

    Attributes:
        problems: What was wrong already while reading, one line each.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._values: dict[_Path, tuple[object, str]] = {}

    def put(self, path: _Path, value: object, *, source: str) -> None:
        """Set a value that is no section, or an empty section."""
        self._values[path] = (value, source)

    def tree(self) -> dict[str, Any]:
        """Return the settings as nested mappings; a plain value that sections overlap gives way to them."""
        root: dict[str, Any] = {}
        for path, (value, _) in self._values.items():
            section = root
            for key in path[:-1]:
                below = section.get(key)
                if not isinstance(below, dict):
                    below = section[key] = {}
                section = below
            section[path[-1]] = value
        return root

    def source_of(self, path: _Path) -> str | None:
        """Return where the setting at a path, or the first one below it, comes from; None if nothing sets it."""
        return next((source for at, (_, source) in self._values.items() if at[: len(path)] == path), None)

    def explain(self, error: SettingError, *, file: str) -> str:
        """Return an error as one line with its source.

        Args:
            error: What is wrong.
            file: The file's name, for what is missing.
        """
        if error.is_missing:
            variable = ENVIRONMENT_PREFIX + error.key.upper().replace(".", "__")
            return f"{error.key}: {error.reason}; set it in {file} or as {variable}"
        *_, name = path = tuple(error.key.split("."))
        shown = MASK if is_secret_name(name) else masked(repr(error.value))
        return f"{self.source_of(path) or file}: {error.key} = {shown}: {error.reason}"


def read_pod_namespace(path: Path, *, into: Sourced) -> None:
    """Set `controller_namespace` to the namespace that the process's pod is in; without such a file, leave it.

    Args:
        path: Where Kubernetes tells a pod its namespace, `POD_NAMESPACE_FILE`.
        into: Where it is set.

    Raises:
        ConfigurationError: The file is there and cannot be read.
    """
    try:
        namespace = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"cannot read the pod's own namespace from {path}: {reason}") from exc
    into.put(("controller_namespace",), namespace.strip(), source=str(path))


def read_yaml(path: Path, *, into: Sourced) -> None:
    """Read a YAML file whose root is a mapping; an empty one is fine.

    Raises:
        ConfigurationError: The file cannot be read, is not YAML, or has something else than a mapping at its root.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"cannot read the configuration {path}: {reason}") from exc
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return
        if not isinstance(root, yaml.MappingNode):
            raise ConfigurationError(f"{path} must be a mapping of sections, such as `audit:`, at its root")
        _read_mapping(loader, root, (), str(path), into)
    except yaml.YAMLError as exc:
        raise ConfigurationError(f"{path} is not YAML: {exc}") from exc
    finally:
        loader.dispose()


def _read_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode, path: _Path, file: str, into: Sourced) -> None:
    seen: dict[str, int] = {}
    if not node.value and path:
        into.put(path, {}, source=f"{file}:{node.start_mark.line + 1}")
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = str(loader.construct_object(key_node, deep=True))
        if key in seen:
            dotted = ".".join((*path, key))
            into.problems.append(f"{file}:{line}: {dotted} is given twice, first in line {seen[key]}")
            continue
        seen[key] = line
        if isinstance(value_node, yaml.MappingNode):
            _read_mapping(loader, value_node, (*path, key), file, into)
        else:
            value = loader.construct_object(value_node, deep=True)
            into.put((*path, key), value, source=f"{file}:{line}")


def read_environment(environment: Mapping[str, str], *, into: Sourced) -> None:
    """Take over the variables that begin with our prefix: `SIGNAL_GATEWAY__SECTION__KEY` is `section.key`."""
    for variable in sorted(environment):
        if variable.startswith(ENVIRONMENT_PREFIX):
            path = tuple(variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
            into.put(path, environment[variable], source=f"variable {variable}")
