"""Fixtures and hooks, nothing else. Whatever they need is imported when it is first used."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from signal_gateway.audit import AuditTrail, BufferedAuditStore
    from signal_gateway.gateway.config import GatewayConfig
    from signal_gateway.testing.cluster.cluster import Cluster
    from signal_gateway.testing.gateway.factory import GatewayFactory, ServiceFactory
    from signal_gateway.testing.gateway.live import LiveGateway
    from signal_gateway.testing.plugin.outage import Outage
    from signal_gateway.testing.plugin.served import Served
    from signal_gateway.testing.plugin.session import SessionHarness
    from signal_gateway.testing.plugin.suite import SharedDataStorage

SETTINGS = {
    "gateway_datastorage_url": "use the DataStorage at this URL; unset: an embedded one",
    "gateway_datastorage_token_file": "file with the bearer token that the DataStorage of that URL wants",
    "gateway_kubeconfig": "use the cluster of this kubeconfig, one namespace per test; unset: an embedded one per test",
    "gateway_audit_db": "keep the embedded DataStorage's SQLite file here, to look into after the run",
    "gateway_report": "how much a failed test tells of its gateways: none, brief (default) or full",
}
INI_SETTINGS = {
    "gateway_startup_timeout": "seconds that a server's start may take: 10",
    "gateway_stop_grace": "seconds that open requests may go on after a server's stop: 2",
    "gateway_flush_timeout": "seconds that an audit store may take to deliver the rest at the end: 5",
    "gateway_lost_events": "what events that were not delivered are to the session: error, warn or ignore",
    "gateway_multiprocess_metrics": "true: allow PROMETHEUS_MULTIPROC_DIR, with which servers share their metrics",
}
HARNESS: "pytest.StashKey[SessionHarness]" = pytest.StashKey()
SERVED: "pytest.StashKey[Served]" = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings as ini options, and those that change from run to run as command line options, too."""
    group = parser.getgroup("gateway", "signal-gateway")
    for name, description in SETTINGS.items():
        group.addoption("--" + name.replace("_", "-"), dest=name, default=None, metavar="X", help=description)
    for name, description in (SETTINGS | INI_SETTINGS).items():
        parser.addini(name, description, default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers", "gateway(**settings): settings for this test's gateways, such as processing={'retry': {...}}"
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before the first test, see whether the settings are right and their services are there; workers need not."""
    config = session.config
    if config.option.collectonly or hasattr(config, "workerinput") or not _settings_given(config):
        return
    from signal_gateway.errors import SignalGatewayError

    try:
        _harness(config).check()
    except SignalGatewayError as exc:
        raise pytest.UsageError(str(exc)) from exc


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what the session runs on where somebody has set it."""
    if config.option.collectonly or not _settings_given(config):
        return None
    return f"gateway: {_harness(config).settings.summary()}"


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> str | None:
    """Say it where nobody has set anything, but tests use the fixtures."""
    if config.option.collectonly or _settings_given(config):
        return None
    names = (name for item in items for name in getattr(item, "fixturenames", ()))
    if not any(name.startswith("gateway") for name in names):
        return None
    return f"gateway: {_harness(config).settings.summary()}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have a failed test's report say what its gateways did, while they still run."""
    served = item.stash.get(SERVED, None)
    if served is None or call.excinfo is None:
        return (yield)
    served.explain(call.excinfo.value)
    report = yield
    if report.failed:
        report.sections += served.sections()
    return report


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Close what the session shared, after the last fixture is gone: innermost wrapper, so also after -x and Ctrl-C."""
    try:
        return (yield)
    finally:
        harness = session.config.stash.get(HARNESS, None)
        if harness is not None:
            must_fail = harness.finish(getattr(session.config, "workeroutput", None))
            if must_fail and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
            _write_properties(session.config, harness.properties())


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how many servers there were and what became of the events."""
    harness = config.stash.get(HARNESS, None)
    if harness is not None:
        for line, markup in harness.report():
            terminalreporter.write_line(line, **markup)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say the same on stderr where there was no terminal summary, such as after an internal error."""
    harness = config.stash.get(HARNESS, None)
    if harness is not None and not hasattr(config, "workerinput"):
        import sys

        sys.stderr.writelines(f"{line}\n" for line, _ in harness.report())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand an xdist worker the DataStorage of the run."""
    _harness(node.config).equip_worker(node)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take an xdist worker's verdict."""
    _harness(node.config).collect_worker(node, error)


def _settings_given(config: pytest.Config) -> bool:
    import os

    return any(config.getoption(name) for name in SETTINGS) or any(
        config.getini(name) or os.environ.get(f"PYTEST_{name.upper()}") for name in SETTINGS | INI_SETTINGS
    )


def _harness(config: pytest.Config) -> "SessionHarness":
    if HARNESS not in config.stash:
        from signal_gateway.testing.plugin.session import SessionHarness

        config.stash[HARNESS] = SessionHarness(
            option=lambda name: config.getoption(name, None),
            ini=config.getini,
            workerinput=getattr(config, "workerinput", None),
        )
    return config.stash[HARNESS]


def _write_properties(config: pytest.Config, properties: list[tuple[str, str]]) -> None:
    from _pytest.junitxml import xml_key

    xml = config.stash.get(xml_key, None)
    if xml is not None and properties:
        for name, value in properties:
            xml.add_global_property(name, value)
        xml.pytest_sessionfinish()  # again: it wrote the file before the session's last fixtures recorded their events


@pytest.fixture
def gateway_config(request: pytest.FixtureRequest) -> "GatewayConfig":
    """Settings of this test's gateways; override it in a conftest, or use `@pytest.mark.gateway(...)`."""
    from signal_gateway.gateway.config import GatewayConfig, merged

    config = GatewayConfig(processing={"scope": {"enabled": False}})
    for settings in _marked_settings(request):
        config = merged(config, settings)
    return config


@pytest.fixture
def gateway_cluster(request: pytest.FixtureRequest) -> "Iterator[Cluster]":
    """An empty Kubernetes of the test's own: embedded, or a namespace on the cluster of `gateway_kubeconfig`."""
    with _harness(request.config).cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def gateway_datastorage(request: pytest.FixtureRequest) -> "SharedDataStorage":
    """The DataStorage of the whole run, shared by all xdist workers."""
    return _harness(request.config).suite.datastorage


@pytest.fixture(scope="session")
def gateway_audit_store(request: pytest.FixtureRequest) -> "BufferedAuditStore":
    """The one audit store of this process. It closes after the last test, never before."""
    return _harness(request.config).suite.audit_store


@pytest.fixture
def gateway_audit_trail(gateway_audit_store: "BufferedAuditStore") -> "AuditTrail":
    """Exact queries over everything this process recorded: a flush barrier, then one query."""
    from signal_gateway.audit import AuditTrail

    return AuditTrail(gateway_audit_store.client, barrier=gateway_audit_store.flush)


@pytest.fixture
def gateway_factory(
    request: pytest.FixtureRequest,
    gateway_config: "GatewayConfig",
    gateway_cluster: "Cluster",
    gateway_audit_store: "BufferedAuditStore",
) -> "Iterator[GatewayFactory]":
    """Any number of live gateways, each with its own settings: `gateway_factory(processing={...})`."""
    from signal_gateway.testing.gateway.factory import GatewayFactory

    with _served(request) as served:
        factory = GatewayFactory(
            served.suite,
            config=gateway_config,
            cluster=gateway_cluster,
            audit_store=gateway_audit_store,
            overrides=_marked_settings(request),
        )
        served.add(factory)
        yield factory
        factory.close()


@pytest.fixture
def gateway(gateway_factory: "GatewayFactory") -> "LiveGateway":
    """A gateway of the test's own on a real socket, stopped at the end of the test."""
    return gateway_factory()


@pytest.fixture
def gateway_outage(
    request: pytest.FixtureRequest, gateway_config: "GatewayConfig", gateway_cluster: "Cluster"
) -> "Iterator[Outage]":
    """A DataStorage of the test's own to stop and start, with an audit store and a gateway factory that use it."""
    from signal_gateway.testing.plugin.outage import Outage

    with (
        _served(request) as served,
        Outage(
            cluster=gateway_cluster,
            config=gateway_config,
            overrides=_marked_settings(request),
            flush_timeout=served.suite.settings.flush_timeout.value,
            suite=served.suite,
        ) as outage,
    ):
        served.add(outage.gateway_factory)
        yield outage


@pytest.fixture
def gateway_serve(
    request: pytest.FixtureRequest, gateway_audit_store: "BufferedAuditStore"
) -> "Iterator[ServiceFactory]":
    """Serve any ASGI application, or a `(registry, audit_store) -> app`, on a real socket for the test."""
    from signal_gateway.testing.gateway.factory import ServiceFactory

    with _served(request) as served:
        factory = ServiceFactory(served.suite, audit_store=gateway_audit_store)
        served.add(factory)
        yield factory
        factory.close()


@pytest.fixture
def gateway_isolated_registry() -> "Iterator[CollectorRegistry]":
    """The global `prometheus_client.REGISTRY`, restored after the test, for code that insists on it."""
    from signal_gateway.testing.plugin.guards import isolated_registry

    with isolated_registry() as registry:
        yield registry


@contextmanager
def _served(request: pytest.FixtureRequest) -> "Iterator[Served]":
    """Give what this test serves, and release it at the end."""
    if SERVED in request.node.stash:
        yield request.node.stash[SERVED]
        return
    from signal_gateway.testing.plugin.served import Served

    is_registry_restored = "gateway_isolated_registry" in request.fixturenames
    served = Served(_harness(request.config).suite, is_registry_restored=is_registry_restored)
    request.node.stash[SERVED] = served
    try:
        with served:
            yield served
    finally:
        del request.node.stash[SERVED]


def _marked_settings(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    markers = list(request.node.iter_markers("gateway"))
    return [marker.kwargs for marker in reversed(markers)]  # the closest marker last, so that it wins
