"""SettingSources: settings from a YAML file and environment variables, each with its source.

This module replaces pydantic-settings, which ignores a missing file, a duplicate key, a misspelt variable and a list at
the root of the file.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from signal_gateway.errors import ConfigurationError
from signal_gateway.gateway.setting_errors import SettingError
from signal_gateway.web.secrets import MASK, is_secret_name, masked

__all__ = [
    "ENVIRONMENT_PREFIX",
    "POD_NAMESPACE_FILE",
    "SettingSources",
    "read_environment",
    "read_pod_namespace",
    "read_yaml",
]

ENVIRONMENT_PREFIX = "SIGNAL_GATEWAY__"
POD_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_ANY_PREFIX: Final = "SIGNAL_GATEWAY_"
_UNDERSCORES: Final = re.compile("_+")

_Path = tuple[str, ...]


class SettingSources:
    """Settings by path, each with its source. A later value replaces an earlier one.

    Attributes:
        problems: Errors found while reading, one line each.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._values: dict[_Path, tuple[object, str]] = {}

    def put(self, path: _Path, value: object, *, source: str) -> None:
        """Set a plain value or an empty section."""
        self._values[path] = (value, source)

    def tree(self) -> dict[str, Any]:
        """Return the settings as nested mappings. A section replaces a plain value at the same path."""
        root: dict[str, Any] = {}
        for path, (value, _) in self._values.items():
            section = root
            for key in path[:-1]:
                inner = section.get(key)
                if not isinstance(inner, dict):
                    inner = section[key] = {}
                section = inner
            section[path[-1]] = value
        return root

    def source_of(self, path: _Path) -> str | None:
        """Return the source of the setting at a path, or of the first one below it; None if nothing sets it."""
        return next((source for at, (_, source) in self._values.items() if at[: len(path)] == path), None)

    def explain(self, error: SettingError, *, file: str) -> str:
        """Return an error as one line with its source.

        Args:
            error: The error.
            file: Name of the configuration file, for a setting that no source sets.
        """
        if error.is_missing:
            return f"{error.key}: {error.reason}; set it in {file} or as {_variable(error.key)}"
        *_, name = path = tuple(error.key.split("."))
        shown = MASK if is_secret_name(name) else masked(repr(error.value))
        return f"{self.source_of(path) or file}: {error.key} = {shown}: {error.reason}"


def read_pod_namespace(path: Path, *, into: SettingSources) -> None:
    """Set `controller_namespace` to the namespace of the pod of this process. Without the file, do nothing.

    Args:
        path: The file that Kubernetes mounts into a pod, `POD_NAMESPACE_FILE`.
        into: The settings to change.

    Raises:
        ConfigurationError: The file exists and cannot be read.
    """
    try:
        namespace = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "the file is not UTF-8 text"
        raise ConfigurationError(f"cannot read the namespace of the pod from {path}: {reason}") from exc
    into.put(("controller_namespace",), namespace.strip(), source=str(path))


def read_yaml(path: Path, *, into: SettingSources) -> None:
    """Read a YAML file with a mapping at its root, or an empty one.

    Raises:
        ConfigurationError: The file cannot be read, is not YAML, or has no mapping at its root.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "the file is not UTF-8 text"
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


def _read_mapping(
    loader: yaml.SafeLoader, node: yaml.MappingNode, path: _Path, file: str, into: SettingSources
) -> None:
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


def read_environment(
    environment: Mapping[str, str], *, keys: Mapping[str, tuple[str, ...]], into: SettingSources
) -> None:
    """Read the variables with the prefix: `SIGNAL_GATEWAY__SECTION__KEY` sets `section.key`.

    A variable that sets a section, or that names a setting with other underscores, is a problem. Variables such as
    `SIGNAL_GATEWAY_SERVICE_HOST`, which Kubernetes sets for a Service, name no setting and are left out.

    Args:
        environment: The variables.
        keys: The plain settings below each path, from `setting_keys`.
        into: The settings to change.
    """
    by_words = {key.replace(".", "_"): key for key in keys}
    for variable in sorted(environment):
        if not variable.startswith(_ANY_PREFIX):
            continue
        path = tuple(variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
        key = ".".join(path)
        meant = by_words.get(_UNDERSCORES.sub("_", variable.removeprefix(_ANY_PREFIX)).strip("_").lower())
        has_prefix = variable.startswith(ENVIRONMENT_PREFIX)
        if has_prefix and keys.get(key):
            value = masked(repr(environment[variable]))
            examples = ", ".join(_variable(one) for one in keys[key][:3])
            into.problems.append(
                f"variable {variable}: {key} = {value}: this is a section; set its keys instead, such as {examples}"
            )
        elif meant is not None and not (has_prefix and key in keys):
            right = _variable(meant) if not keys[meant] else _variable(keys[meant][0])
            into.problems.append(
                f"variable {variable} has no effect: two underscores separate the parts, as in {right}"
            )
        elif has_prefix:
            into.put(path, environment[variable], source=f"variable {variable}")


def _variable(key: str) -> str:
    return ENVIRONMENT_PREFIX + key.upper().replace(".", "__")
