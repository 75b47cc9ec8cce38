import pytest

WAYS_TO_TURN_AUTOLOAD_OFF = ["environment"]
if pytest.version_tuple >= (8, 4):
    WAYS_TO_TURN_AUTOLOAD_OFF.append("--disable-plugin-autoload")


def test_suite_without_the_plugin_serves_gateways_by_itself(clean_suite):
    result = clean_suite(
        *("-p", "no:gateway"),
        servers=0,
        test_it="""
        from signal_gateway import GatewayConfig, create_gateway
        from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient
        from signal_gateway.testing import EmbeddedCluster, EmbeddedDataStorage, serve

        def test_served(tmp_path):
            settings = AuditStoreConfig(spool_directory=tmp_path / "spool")
            config = GatewayConfig(processing={"scope": {"enabled": False}})
            with (
                EmbeddedCluster() as cluster,
                EmbeddedDataStorage() as datastorage,
                BufferedAuditStore(DataStorageClient(datastorage.url), service="test", config=settings) as store,
            ):
                with serve(create_gateway(config, kubernetes=cluster.client(), audit_store=store)) as live:
                    assert live.send_alert("X", namespace="prod", deployment="api").status_code == 201
                assert store.flush().ok
        """,
    )

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("way", WAYS_TO_TURN_AUTOLOAD_OFF)
def test_plugin_that_is_named_needs_no_autoload(clean_suite, kinds, pytester, monkeypatch, way):
    if way == "environment":
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\naddopts = -W error -p no:cacheprovider")

    result = clean_suite(
        *([way] if way.startswith("--") else []),
        *("-p", "signal_gateway.pytest_plugin"),
        servers=2,
        test_plain=kinds["test_plain"],
        test_unit=kinds["test_unit"],
    )

    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("plugins: *")


def test_sessions_inside_a_session_are_each_their_own(clean_suite, kinds, pytester):
    pytester.mkdir("inner").joinpath("inner.txt").write_text(kinds["test_plain"])

    result = clean_suite(
        servers=2,
        conftest='\npytest_plugins = ["pytester"]\n',
        test_it="""
        from pathlib import Path

        INNER = Path("inner/inner.txt").read_text()

        def run(pytester):
            pytester.makepyfile(INNER)
            without = ("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:schemathesis")
            result = pytester.runpytest_inprocess("-W", "error", *without)
            result.assert_outcomes(passed=1)
            result.stdout.fnmatch_lines(["gateway: 1 server, 1 flusher, 2 events recorded, 2 delivered, *"])

        def test_before_the_outer_session_uses_a_gateway(pytester):
            run(pytester)

        def test_amid_what_the_outer_session_does(gateway, gateway_factory, pytester):
            gateway.send_alert("X", namespace="prod", deployment="api")

            run(pytester)

            second = gateway_factory()
            response = second.send_alert("Y", namespace="prod", deployment="web")
            name = response.json()["remediationRequestName"]
            second.audit_trail.one("gateway.crd.created", correlation_id=name)
        """,
    )

    result.assert_outcomes(passed=2)
