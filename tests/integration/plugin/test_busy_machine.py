"""A machine with more work than processors: parts of a test run are slow to start, and no test fails for it."""

SLOW_CONTROLLER = """
    import time

    def pytest_configure(config):
        if not hasattr(config, "workerinput"):
            import signal_gateway.testing.datastorage.on_demand as on_demand

            wait = on_demand.OnDemandDataStorage._wait

            def wait_on_a_busy_machine(self):
                on_demand._select([self._sock, self._wake], [], [])
                time.sleep(6)
                wait(self)

            on_demand.OnDemandDataStorage._wait = wait_on_a_busy_machine
"""
ONE_ALERT = """
    def test_alert(gateway):
        assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201
"""


def test_datastorage_of_the_controller_may_take_longer_than_any_fixed_time_to_start(suite):
    result = suite("-n", "2", conftest=SLOW_CONTROLLER, test_it=ONE_ALERT)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["gateway: * 2 delivered, 0 rejected, 0 pending"])


def test_audit_store_that_failed_is_made_by_the_next_use(suite):
    result = suite(
        test_it="""
        import socket
        import pytest
        from signal_gateway.audit.errors import DataStorageUnavailable
        from signal_gateway.testing import EmbeddedDataStorage
        from signal_gateway.testing.plugin.settings import Setting, Settings
        from signal_gateway.testing.plugin.suite import Suite

        def test_retry():
            with EmbeddedDataStorage() as datastorage:
                suite = Suite(Settings(datastorage_url=Setting(datastorage.url, "here")))
                datastorage.stop()
                with pytest.raises(DataStorageUnavailable, match="Connection refused"):
                    suite.audit_store
                datastorage.start()
                assert suite.audit_store.accepting
                assert suite.close().stop_error is None

        def test_message_says_how_long_was_waited(monkeypatch):
            monkeypatch.setattr("signal_gateway.testing.plugin.suite._SHORT_WAIT", 0.2)
            with socket.create_server(("127.0.0.1", 0)) as silent:
                url = f"http://127.0.0.1:{silent.getsockname()[1]}"
                suite = Suite(Settings(datastorage_url=Setting(url, "here")))
                suite._has_timed_out = True
                with pytest.raises(DataStorageUnavailable, match="ReadTimeout.*not complete after 0.2 s"):
                    suite.audit_store
        """
    )

    result.assert_outcomes(passed=2)
