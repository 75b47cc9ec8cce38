"""The harness's settings, each with the place that it came from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Setting", "Settings", "resolve"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        value: What it is; None if nobody set it.
        source: Who said so, for messages, such as `--gateway-datastorage-url` or `ini option gateway_kubeconfig`.
    """

    value: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What a test session is run with.

    Attributes:
        datastorage_url: The DataStorage to use; None embeds one.
        kubeconfig: The cluster to use, one namespace a test; None embeds one, a cluster a test.
    """

    datastorage_url: Setting
    kubeconfig: Setting


def resolve(
    *,
    option: Callable[[str], str | None],
    environ: Mapping[str, str],
    ini: Callable[[str], str],
) -> Settings:
    """Find each setting: command line over environment over ini file over default.

    Args:
        option: Looks up a command line option by its destination, such as `gateway_datastorage_url`.
        environ: The environment; `PYTEST_GATEWAY_DATASTORAGE_URL` and so on.
        ini: Looks up an ini option by the same name; empty if not set.
    """

    def find(name: str) -> Setting:
        flag = "--" + name.replace("_", "-")
        variable = f"PYTEST_{name.upper()}"
        if value := option(name):
            return Setting(value, flag)
        if value := environ.get(variable):
            return Setting(value, f"environment variable {variable}")
        if value := ini(name):
            return Setting(value, f"ini option {name}")
        return Setting(None, "default")

    return Settings(datastorage_url=find("gateway_datastorage_url"), kubeconfig=find("gateway_kubeconfig"))
