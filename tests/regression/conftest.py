"""`make_server`: the plugin's `gateway_factory`, or with --old-wiring a factory that puts the old constructor back."""

from contextlib import ExitStack

import pytest
from prometheus_client import CollectorRegistry
from tests.regression.old_wiring import URL_VARIABLE, OldGateway

from signal_gateway.gateway.config import merged
from signal_gateway.testing import LiveGateway
from signal_gateway.web.serving.sockets import reserve_port

NEVER = 3600.0  # seconds; longer than any test, so that what is lost does not depend on the machine's speed


def pytest_addoption(parser):
    parser.addoption("--old-wiring", action="store_true", help="make servers by the constructor of the incident")


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "old_wiring(registry='shared', keep=False, url_is_set=True): what --old-wiring is given, so that the one "
        "registry for all does not hide the other symptoms. registry='own': one for each server, as if that had been "
        "seen to. keep=True: one server for all, the way around it. url_is_set=False: the variable was forgotten",
    )


@pytest.fixture
def refusing_port():
    """A loopback port where nobody listens, nor will."""
    with reserve_port() as sock:
        yield sock.getsockname()[1]


@pytest.fixture
def make_server(request):
    """Make live servers, any number of them, each with settings of its own."""
    is_old = request.config.getoption("old_wiring", default=False)
    return request.getfixturevalue("old_server_factory" if is_old else "gateway_factory")


@pytest.fixture
def old_server_factory(request, gateway_config, gateway_cluster, gateway_datastorage, monkeypatch, refusing_port):
    """Make live servers whose constructor makes their audit store, too."""
    given = {"registry": "shared", "keep": False, "url_is_set": True}
    for marker in request.node.iter_markers("old_wiring"):
        given |= marker.kwargs
    if given["url_is_set"]:
        monkeypatch.setenv(URL_VARIABLE, gateway_datastorage.url)
    else:
        monkeypatch.delenv(URL_VARIABLE, raising=False)
    kubernetes = gateway_cluster.client()
    of_the_process = CollectorRegistry()  # stands for prometheus_client.REGISTRY, which tests after this one need clean
    made = []

    def make(**settings):
        if given["keep"] and made:
            return made[0]
        gateway = OldGateway(
            merged(gateway_config, settings),
            kubernetes=kubernetes,
            registry=of_the_process if given["registry"] == "shared" else CollectorRegistry(),
            default_port=refusing_port,
            flush_interval=NEVER,
        )
        made.append(stack.enter_context(LiveGateway(gateway, cluster=gateway_cluster)))
        return made[-1]

    with ExitStack() as stack:
        yield make
