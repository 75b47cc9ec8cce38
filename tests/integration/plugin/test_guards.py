import pytest

ALERT = 'gateway.send_alert("X", namespace="prod", deployment="api")'


def test_metrics_left_in_the_global_registry_are_warned_of(suite):
    result = suite(
        *("-W", "default"),
        test_it=f"""
        from prometheus_client import Counter

        def test_leaks(gateway):
            Counter("leaked", "Left behind.")
            {ALERT}

        def test_does_not(gateway):
            {ALERT}
        """,
    )

    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(["*IsolationWarning: new in the global prometheus_client.REGISTRY: *leaked_total*"])


def test_isolated_registry_is_as_it_was_after_the_test(suite):
    result = suite(
        test_it="""
        import pytest
        from prometheus_client import REGISTRY, Counter

        KEPT = Counter("kept", "There before.")

        @pytest.mark.parametrize("round", [1, 2])
        def test_insists_on_the_global_registry(gateway, gateway_isolated_registry, round):
            assert gateway_isolated_registry is REGISTRY
            Counter("made_in_a_test", "Each time anew.")
            REGISTRY.unregister(KEPT)

        def test_all_is_back():
            assert KEPT in REGISTRY._collector_to_names
            assert "made_in_a_test_total" not in REGISTRY._names_to_collectors
        """
    )

    result.assert_outcomes(passed=3)


def test_second_audit_store_is_warned_of_once_and_by_the_line_that_made_it(suite):
    result = suite(
        *("-W", "default"),
        test_it=f"""
        import pytest
        from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient

        @pytest.fixture(scope="module")
        def second(gateway_datastorage):
            client = DataStorageClient(gateway_datastorage.url)
            with BufferedAuditStore(client, service="mine", config=AuditStoreConfig(durability="memory")) as store:
                yield store
            client.close()

        @pytest.mark.parametrize("round", [1, 2])
        def test_with_two_stores(second, gateway, round):
            {ALERT}
        """,
    )

    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(["*IsolationWarning: a second audit store with a flusher*'mine'*test_it.py:7*"])


def test_stores_of_outages_and_stores_that_are_closed_are_in_order(suite):
    result = suite(
        "-W",
        "error",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        test_it=f"""
        from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient

        def test_outage(gateway, gateway_outage):
            {ALERT}

        def test_own_store(gateway, gateway_datastorage):
            client = DataStorageClient(gateway_datastorage.url)
            with BufferedAuditStore(client, service="mine", config=AuditStoreConfig(durability="memory")):
                {ALERT}
            client.close()
        """,
    )

    result.assert_outcomes(passed=2)


@pytest.mark.parametrize("variable", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
def test_multiprocess_metrics_are_refused(suite, monkeypatch, tmp_path, variable):
    monkeypatch.setenv(variable, str(tmp_path))

    result = suite(test_it=f"def test_alert(gateway):\n    {ALERT}")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{variable}*gateway_multiprocess_metrics*"])


def test_multiprocess_metrics_are_let_be_where_somebody_says_so(suite, monkeypatch, tmp_path):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))

    result = suite("-o", "gateway_multiprocess_metrics=true", test_it=f"def test_alert(gateway):\n    {ALERT}")

    result.assert_outcomes(passed=1)
