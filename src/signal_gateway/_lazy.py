"""lazy_names: public names of a package that load on first use (PEP 562), so that its import is cheap."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import signal_gateway._machine  # noqa: F401 - at the import of any package, before a test patches the clocks

__all__ = ["lazy_names"]


def lazy_names(
    namespace: dict[str, Any], modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package.

    `dir` lists the loaded names only: freezegun and others read all names of all modules, inside a test that patches
    what the import of these modules needs.

    Args:
        namespace: `globals()` of the package; a loaded name stays there.
        modules: The module of each public name, relative to the package.
    """
    package: str = namespace["__name__"]

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{modules[name]}"), name)
        namespace[name] = value
        return value

    return load, lambda: sorted(namespace)
