"""The fixtures and hooks of the pytest plugin. Their other modules are imported on first use."""

import traceback
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from signal_gateway.audit import AuditTrail, BufferedAuditStore
    from signal_gateway.gateway.config import GatewayConfig
    from signal_gateway.testing.cluster.cluster import Cluster
    from signal_gateway.testing.gateway.factory import GatewayFactory, ServiceFactory
    from signal_gateway.testing.gateway.live import LiveGateway
    from signal_gateway.testing.plugin.live_servers import LiveServers
    from signal_gateway.testing.plugin.outage import Outage
    from signal_gateway.testing.plugin.session import Markup, SessionHarness
    from signal_gateway.testing.plugin.suite import SharedDataStorage

SETTINGS = {
    "gateway_datastorage_url": "URL of a DataStorage; unset: an embedded one",
    "gateway_datastorage_token_file": "file with the bearer token for that DataStorage",
    "gateway_kubeconfig": "kubeconfig of a cluster, one namespace per test; unset: an embedded cluster per test",
    "gateway_audit_db": "SQLite file of the embedded DataStorage, kept after the run",
    "gateway_report": "detail about gateways in the report of a failed test: none, brief (default) or full",
}
INI_SETTINGS = {
    "gateway_startup_timeout": "seconds for the start of a server and the first response of DataStorage; default: 60",
    "gateway_stop_grace": "seconds for open requests after the stop of a server; default: 10",
    "gateway_flush_timeout": "seconds to deliver the pending events of an audit store at the end; default: 30",
    "gateway_lost_events": "effect of undelivered events on the session: error (default), warn or ignore",
    "gateway_multiprocess_metrics": "true: allow PROMETHEUS_MULTIPROC_DIR, with which servers share metrics",
}
HARNESS: "pytest.StashKey[SessionHarness]" = pytest.StashKey()
LIVE_SERVERS: "pytest.StashKey[LiveServers]" = pytest.StashKey()
HOOK_ERRORS: "pytest.StashKey[list[str]]" = pytest.StashKey()
HOOK_ERRORS_KEY = "gateway_hook_errors"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add all settings as ini options, and the settings of a single run as command line options too."""
    group = parser.getgroup("gateway", "signal-gateway")
    for name, description in SETTINGS.items():
        group.addoption("--" + name.replace("_", "-"), dest=name, default=None, metavar="X", help=description)
    for name, description in (SETTINGS | INI_SETTINGS).items():
        parser.addini(name, description, default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "gateway(**settings): settings for the gateways of this test, such as processing={'retry': {...}};"
        " the keys of signal_gateway.GatewayOverrides",
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Check the settings and their services before the first test, except in xdist workers."""
    config = session.config
    if _runs_no_test(config) or hasattr(config, "workerinput") or not _settings_given(config):
        return
    try:
        _harness(config).check()
    except Exception as exc:
        raise pytest.UsageError(str(exc) or repr(exc)) from exc


def pytest_report_header(config: pytest.Config) -> str | None:
    """Return the header line of a session with settings."""
    if _runs_no_test(config) or not _settings_given(config):
        return None
    with _contained(config, "the header line"):
        return f"gateway: {_harness(config).settings.summary()}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Import the modules of the fixtures before a fixture or test can patch what they import."""
    config = session.config
    if not _runs_no_test(config) and _use_gateways(session.items):
        with _contained(config, "the import of the test harness"):
            from signal_gateway.testing.plugin.preload import preload

            preload()
            _harness(config)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> str | None:
    """Return the header line of a session without settings whose tests use the fixtures."""
    if _runs_no_test(config) or _settings_given(config) or not _use_gateways(items):
        return None
    with _contained(config, "the header line"):
        return f"gateway: {_harness(config).settings.summary()}"


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Generator[None, object, object]:
    """Forget the failure of a fixture of this plugin: the next test sets it up again, also for a whole session."""
    __tracebackhide__ = True
    try:
        return (yield)
    except BaseException:
        if fixturedef.func.__module__ == __name__:
            fixturedef.finish(request)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the sections about its gateways to the report of a failed test, while the gateways still run."""
    scopes = [node.stash[LIVE_SERVERS] for node in item.listchain() if LIVE_SERVERS in node.stash]
    if not scopes or call.excinfo is None:
        return (yield)
    with _contained(item.config, f"the note on the failure of {item.nodeid}"):
        for servers in scopes:
            servers.explain(call.excinfo.value)
    report = yield
    if report.failed:
        with _contained(item.config, f"the report of {item.nodeid}"):
            report.sections += [section for servers in scopes for section in servers.sections()]
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Deliver the events of a test after its last fixture, so that no delivery happens during the next test."""
    __tracebackhide__ = True
    try:
        return (yield)
    finally:
        harness = item.config.stash.get(HARNESS, None)
        if harness is not None:
            with _contained(item.config, f"the delivery of the audit events of {item.nodeid}"):
                harness.end_test(is_last=nextitem is None)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Close the shared parts after the last fixture. As the innermost wrapper this also runs after -x and Ctrl-C."""
    try:
        return (yield)
    finally:
        config = session.config
        harness = config.stash.get(HARNESS, None)
        output = getattr(config, "workeroutput", None)
        if harness is not None:
            must_fail = True
            with _contained(config, "the verdict on the audit events"):
                must_fail = harness.finish(output)
            if must_fail and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
            with _contained(config, "the report in the JUnit file"):
                _write_properties(config, harness.properties())
        if output is not None:
            output[HOOK_ERRORS_KEY] = config.stash.get(HOOK_ERRORS, [])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write the number of servers and of delivered, rejected, pending and refused events."""
    for line, markup in _report(config):
        terminalreporter.write_line(line, **markup)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write the same lines to stderr if there was no terminal summary, such as after an internal error."""
    if not hasattr(config, "workerinput") and (HARNESS in config.stash or HOOK_ERRORS in config.stash):
        import sys

        sys.stderr.writelines(f"{line}\n" for line, _ in _report(config))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give an xdist worker the DataStorage of the run."""
    with _contained(node.config, f"the set-up of worker {node.gateway.id}"):
        _harness(node.config).equip_worker(node)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Store the verdict of an xdist worker."""
    worker = node.gateway.id
    with _contained(node.config, f"the collection of the verdict of worker {worker}"):
        errors = node.config.stash.setdefault(HOOK_ERRORS, [])
        errors += [f"{worker}: {line}" for line in getattr(node, "workeroutput", {}).get(HOOK_ERRORS_KEY, [])]
        _harness(node.config).collect_worker(node, error)


@contextmanager
def _contained(config: pytest.Config, part: str) -> Iterator[None]:
    """Turn an error of a hook into one line of the summary: pytest ends the session if a hook raises."""
    try:
        yield
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException as exc:  # noqa: BLE001 - a patched function may raise pytest.fail's exception
        line = f"{part} failed: {traceback.format_exception_only(exc)[0].strip()}"
        errors = config.stash.setdefault(HOOK_ERRORS, [])
        if line not in errors:
            errors.append(line)


def _report(config: pytest.Config) -> "list[tuple[str, Markup]]":
    """Return the lines for the end of the output. A second call returns none."""
    harness = config.stash.get(HARNESS, None)
    lines: list[tuple[str, Markup]] = []
    if harness is not None:
        with _contained(config, "the summary"):
            lines = harness.report()
    errors, config.stash[HOOK_ERRORS] = config.stash.get(HOOK_ERRORS, []), []
    return [(f"gateway: {error}", {"yellow": True}) for error in errors] + lines


def _runs_no_test(config: pytest.Config) -> bool:
    """Return whether the session only lists tests, fixtures or cached values, or sets fixtures up without a test."""
    names = ("collectonly", "setuponly", "setupplan", "showfixtures", "show_fixtures_per_test", "cacheshow")
    return any(config.getoption(name, None) for name in names)


def _use_gateways(items: Iterable[pytest.Item]) -> bool:
    return any(not FIXTURES.isdisjoint(getattr(item, "fixturenames", ())) for item in items)


def _settings_given(config: pytest.Config) -> bool:
    import os

    return any(config.getoption(name) for name in SETTINGS) or any(
        config.getini(name) or os.environ.get(f"PYTEST_{name.upper()}") for name in SETTINGS | INI_SETTINGS
    )


def _harness(config: pytest.Config) -> "SessionHarness":
    if HARNESS not in config.stash:
        from signal_gateway.testing.plugin.session import SessionHarness

        config.stash[HARNESS] = SessionHarness(config, workerinput=getattr(config, "workerinput", None))
    return config.stash[HARNESS]


def _write_properties(config: pytest.Config, properties: list[tuple[str, str]]) -> None:
    from _pytest.junitxml import xml_key

    xml = config.stash.get(xml_key, None)
    if xml is not None and properties:
        for name, value in properties:
            xml.add_global_property(name, value)
        xml.pytest_sessionfinish()  # again: the first file lacks the events of the last fixtures


@pytest.fixture
def gateway_config(request: pytest.FixtureRequest) -> "GatewayConfig":
    """Settings of the gateways of this test; override it in a conftest, or use `@pytest.mark.gateway(...)`."""
    from signal_gateway.gateway.config import merged

    config = _config_of_tests()
    for settings in _marked_settings(request):
        config = merged(config, settings)
    return config


@pytest.fixture
def gateway_cluster(request: pytest.FixtureRequest) -> "Iterator[Cluster]":
    """An empty cluster for this test: embedded, or a namespace on the cluster of `gateway_kubeconfig`."""
    with _harness(request.config).cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def gateway_datastorage(request: pytest.FixtureRequest) -> "SharedDataStorage":
    """The DataStorage of the whole run, shared by all xdist workers."""
    return _harness(request.config).suite.datastorage


@pytest.fixture(scope="session")
def gateway_audit_store(request: pytest.FixtureRequest) -> "BufferedAuditStore":
    """The one audit store of this process. It closes after the last test."""
    return _harness(request.config).suite.audit_store


@pytest.fixture
def gateway_audit_trail(gateway_audit_store: "BufferedAuditStore") -> "AuditTrail":
    """Exact queries over all events of this process: a flush barrier, then one query."""
    from signal_gateway.audit import AuditTrail

    return AuditTrail(gateway_audit_store.client, barrier=gateway_audit_store.flush)


@pytest.fixture
def gateway_factory(
    request: pytest.FixtureRequest,
    gateway_config: "GatewayConfig",
    gateway_cluster: "Cluster",
    gateway_audit_store: "BufferedAuditStore",
) -> "Iterator[GatewayFactory]":
    """Creates live gateways, each with its own settings: `gateway_factory(processing={...})`."""
    from signal_gateway.testing.gateway.factory import GatewayFactory

    with _live_servers(request) as servers:
        factory = GatewayFactory(
            servers.suite.host,
            config=gateway_config,
            cluster=gateway_cluster,
            audit_store=gateway_audit_store,
            overrides=_marked_settings(request),
        )
        servers.add(factory)
        yield factory
        factory.close()


@pytest.fixture
def gateway(gateway_factory: "GatewayFactory") -> "LiveGateway":
    """A gateway for this test on a real socket, stopped at the end of the test."""
    return gateway_factory()


@pytest.fixture
def gateway_outage(
    request: pytest.FixtureRequest, gateway_config: "GatewayConfig", gateway_cluster: "Cluster"
) -> "Iterator[Outage]":
    """A DataStorage for this test that you can stop and start, with its own audit store and gateway factory."""
    from signal_gateway.testing.plugin.outage import Outage

    with (
        _live_servers(request) as servers,
        Outage(
            cluster=gateway_cluster,
            config=gateway_config,
            overrides=_marked_settings(request),
            flush_timeout=servers.suite.settings.flush_timeout.value,
            suite=servers.suite,
        ) as outage,
    ):
        servers.add(outage.gateway_factory)
        yield outage


@pytest.fixture
def gateway_serve(
    request: pytest.FixtureRequest,
    gateway_audit_store: "BufferedAuditStore",
    gateway_datastorage: "SharedDataStorage",
) -> "Iterator[ServiceFactory]":
    """Serves an ASGI, WSGI or aiohttp application, or a factory of one, on a real socket for this test."""
    with _service_factory(request, gateway_audit_store, gateway_datastorage) as factory:
        yield factory


def _fixture_that_serves(scope: Literal["class", "module", "package", "session"]) -> Any:
    """Return `gateway_serve` for a wider scope."""

    def serve(
        request: pytest.FixtureRequest,
        gateway_audit_store: "BufferedAuditStore",
        gateway_datastorage: "SharedDataStorage",
    ) -> "Iterator[ServiceFactory]":
        with _service_factory(request, gateway_audit_store, gateway_datastorage) as factory:
            yield factory

    serve.__doc__ = f"As `gateway_serve`; the services run until the end of the {scope}."
    return pytest.fixture(serve, scope=scope, name=f"gateway_serve_{scope}")


def _fixture_that_creates_gateways(scope: Literal["class", "module", "package", "session"]) -> Any:
    """Return `gateway_factory` for a wider scope."""

    def factory(
        request: pytest.FixtureRequest, gateway_audit_store: "BufferedAuditStore"
    ) -> "Iterator[GatewayFactory]":
        from signal_gateway.testing.gateway.factory import GatewayFactory

        with _live_servers(request) as servers, _harness(request.config).cluster() as cluster:
            factory = GatewayFactory(
                servers.suite.host,
                config=_config_of_tests(),
                cluster=cluster,
                audit_store=gateway_audit_store,
                overrides=_marked_settings(request),
            )
            servers.add(factory)
            yield factory
            factory.close()

    factory.__doc__ = (
        f"As `gateway_factory`, with one cluster and default settings; the gateways run until the end of the {scope}."
    )
    return pytest.fixture(factory, scope=scope, name=f"gateway_factory_{scope}")


gateway_serve_class = _fixture_that_serves("class")
gateway_serve_module = _fixture_that_serves("module")
gateway_serve_package = _fixture_that_serves("package")
gateway_serve_session = _fixture_that_serves("session")
gateway_factory_class = _fixture_that_creates_gateways("class")
gateway_factory_module = _fixture_that_creates_gateways("module")
gateway_factory_package = _fixture_that_creates_gateways("package")
gateway_factory_session = _fixture_that_creates_gateways("session")


@pytest.fixture
def gateway_isolated_registry() -> "Iterator[CollectorRegistry]":
    """The global `prometheus_client.REGISTRY`, restored after the test, for code that needs it."""
    from signal_gateway.testing.plugin.guards import isolated_registry

    with isolated_registry() as registry:
        yield registry


@contextmanager
def _service_factory(
    request: pytest.FixtureRequest, audit_store: "BufferedAuditStore", datastorage: "SharedDataStorage"
) -> "Iterator[ServiceFactory]":
    from signal_gateway.testing.gateway.factory import ServiceFactory

    with _live_servers(request) as servers:
        factory = ServiceFactory(servers.suite.host, audit_store=audit_store, datastorage=datastorage)
        servers.add(factory)
        yield factory
        factory.close()


@contextmanager
def _live_servers(request: pytest.FixtureRequest) -> "Iterator[LiveServers]":
    """Yield the live servers of the scope of a fixture, and release them at the end."""
    if LIVE_SERVERS in request.node.stash:
        yield request.node.stash[LIVE_SERVERS]
        return
    from signal_gateway.testing.plugin.live_servers import LiveServers

    servers = LiveServers(
        _harness(request.config).suite,
        is_guarded=request.scope == "function",
        is_registry_restored="gateway_isolated_registry" in request.fixturenames,
    )
    request.node.stash[LIVE_SERVERS] = servers
    try:
        with servers:
            yield servers
    finally:
        del request.node.stash[LIVE_SERVERS]


def _config_of_tests() -> "GatewayConfig":
    from signal_gateway.gateway.config import GatewayConfig, merged

    return merged(GatewayConfig(), {"processing": {"scope": {"enabled": False}}})


def _marked_settings(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    markers = list(request.node.iter_markers("gateway"))
    for marker in markers:
        if marker.args:
            from signal_gateway.errors import ConfigurationError

            raise ConfigurationError(
                f"@pytest.mark.gateway takes settings by name, got the argument {marker.args[0]!r:.80}: write"
                " @pytest.mark.gateway(processing={...})"
            )
    return [marker.kwargs for marker in reversed(markers)]  # the closest marker last, so that it wins


FIXTURES = frozenset(name for name in globals() if name.startswith("gateway"))
