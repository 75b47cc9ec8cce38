"""The first test with a gateway fails in its set-up, or patches the world: the later tests notice nothing of it."""

import pytest

ALERT = 'assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201'


def test_sockets_that_the_first_test_may_not_open_fail_this_test_alone(suite, temporary_files):
    result = suite(
        "--disable-socket",
        plugins=["socket"],
        test_it=f"""
        import pytest

        def test_without_sockets(gateway):
            {ALERT}

        @pytest.mark.enable_socket
        def test_with_sockets(gateway):
            {ALERT}

        def test_without_sockets_again(gateway):
            {ALERT}
        """,
    )

    assert result.parseoutcomes() == {"passed": 1, "errors": 2}
    result.stdout.fnmatch_lines(
        ["E *A test tried to use socket.socket.", "gateway: * 1 flusher, 2 events recorded, 2 *"]
    )
    assert list(temporary_files.glob("signal-gateway-*")) == []


@pytest.mark.parametrize("part", ['EmbeddedDataStorage, "start"', 'suite, "open_store"', 'DataStorageClient, "check"'])
def test_time_out_in_the_first_set_up_fails_this_test_alone(suite, temporary_files, part):
    """pytest-timeout raises pytest's `Failed`, a BaseException, from a signal handler in the middle of a set-up."""
    result = suite(
        test_it=f"""
        import pytest
        from signal_gateway.audit.client.client import DataStorageClient
        from signal_gateway.testing.datastorage.embedded import EmbeddedDataStorage
        from signal_gateway.testing.plugin import suite

        def fail(*args, **kwargs):
            pytest.fail("Timeout (>1.0s) from pytest-timeout.")

        @pytest.fixture(scope="session")
        def of_the_user(gateway_audit_store, gateway_datastorage):
            return gateway_audit_store

        @pytest.fixture(scope="session", autouse=True)
        def interrupted():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr({part}, fail)
                yield patch

        def test_interrupted(of_the_user, gateway):
            {ALERT}

        def test_later(interrupted, request):
            interrupted.undo()
            gateway, store = request.getfixturevalue("gateway"), request.getfixturevalue("of_the_user")
            assert gateway.gateway.audit_store is store
            {ALERT}

        def test_last(of_the_user, gateway):
            assert gateway.gateway.audit_store is of_the_user
            {ALERT}
        """,
    )

    assert result.parseoutcomes() == {"passed": 2, "errors": 1}
    result.stdout.fnmatch_lines(["E *Failed: Timeout *", "gateway: 2 servers, 1 flusher, 4 events recorded, 4 *"])
    assert list(temporary_files.glob("signal-gateway-*")) == []


def test_datastorage_that_is_late_fails_the_first_test_alone(suite):
    result = suite(
        conftest="""
        import os

        import pytest
        from signal_gateway.testing import EmbeddedDataStorage

        DATASTORAGE = EmbeddedDataStorage()
        DATASTORAGE.start()
        os.environ["PYTEST_GATEWAY_DATASTORAGE_URL"] = DATASTORAGE.url

        @pytest.hookimpl(trylast=True)
        def pytest_sessionstart(session):
            DATASTORAGE.stop()

        @pytest.fixture
        def datastorage():
            DATASTORAGE.start()

        def pytest_unconfigure(config):
            DATASTORAGE.close()
        """,
        test_it=f"""
        def test_early(gateway):
            {ALERT}

        def test_start(datastorage):
            pass

        def test_late(gateway):
            {ALERT}
        """,
    )

    assert result.parseoutcomes() == {"passed": 2, "errors": 1}
    result.stdout.fnmatch_lines(["*DataStorageUnavailable*", "gateway: 1 server, 1 flusher, 2 events recorded, 2 *"])


PATCHES = {
    "freezer": ("freezer", "freezer", "freezer.move_to('2020-01-01')"),
    "time_machine": ("time_machine", "time_machine", "time_machine.move_to('2020-01-01')"),
    "fakefs": ("fakefs", "fs", "fs.create_file('/made/up.txt')"),
}


@pytest.mark.parametrize("name", PATCHES)
@pytest.mark.parametrize("order", ["gateway first", "gateway last"])
def test_first_gateway_starts_under_the_patches_of_a_fixture(suite, name, order):
    plugin, fixture, use = PATCHES[name]
    arguments = f"gateway, {fixture}" if order == "gateway first" else f"{fixture}, gateway"

    result = suite(
        plugins=[plugin],
        test_it=f"""
        def test_first({arguments}):
            {use}
            assert gateway.client.get("/healthz").status_code == 200

        def test_second(gateway):
            {ALERT}
            assert len(gateway.audit_trail.events()) == 2
        """,
    )

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["gateway: 2 servers, 1 flusher, 2 events recorded, 2 delivered, *"])


def test_first_gateway_starts_under_a_patch_of_the_whole_session(suite):
    result = suite(
        test_it="""
        import pytest
        from freezegun import freeze_time

        @pytest.fixture(scope="session", autouse=True)
        def frozen():
            with freeze_time("2020-01-01"):
                yield

        def test_first(gateway):
            assert gateway.client.get("/healthz").status_code == 200
        """,
    )

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["gateway: 1 server, 1 flusher, 0 events recorded, *"])


def test_gateway_records_on_a_fake_file_system(suite):
    result = suite(
        plugins=["fakefs"],
        test_it=f"""
        def test_alert(fs, gateway):
            {ALERT}
        """,
    )

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["gateway: 1 server, 1 flusher, 2 events recorded, 2 delivered, *"])


def test_all_modules_of_a_gateway_are_imported_before_the_first_fixture(suite):
    result = suite(
        test_it=f"""
        import sys

        import pytest

        @pytest.fixture(scope="session", autouse=True)
        def imported():
            before = set(sys.modules)
            yield
            new = sorted(set(sys.modules) - before)
            assert new == []

        def test_alert(gateway, gateway_serve, gateway_outage):
            {ALERT}
            gateway.audit_trail.one("gateway.crd.created")
        """,
    )

    result.assert_outcomes(passed=1)
