"""A hook of the plugin never ends a session: its failure is one line of the summary."""

import pytest

ALERT = 'assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201'


def test_failed_test_without_a_free_file_descriptor_is_reported(suite):
    result = suite(
        test_it=f"""
        import os
        import resource

        import pytest

        @pytest.fixture
        def descriptors(gateway):
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 8, limits[1]))
            taken = []
            yield taken
            for descriptor in taken:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

        def test_takes_all(gateway, descriptors):
            {ALERT}
            with pytest.raises(OSError):
                while True:
                    descriptors.append(os.dup(0))
            assert gateway is None

        def test_next(gateway):
            {ALERT}
        """,
    )

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines(["*gateway http://*: last requests*", "POST *-> 201 *"])
    result.stdout.fnmatch_lines(["gateway: 2 servers, 1 flusher, 4 events recorded, 4 delivered, *"])


@pytest.mark.parametrize("function", ["builtins.__import__", "builtins.open"])
def test_failed_test_with_a_patched_function_is_reported(suite, function):
    """The patch refuses the modules and files of this package; pytest itself ends if it refuses all."""
    module, _, name = function.rpartition(".")

    result = suite(
        test_it=f"""
        import {module}

        import pytest

        REAL = {function}

        def fake(name, *args, **kwargs):
            if "signal_gateway" in str(name):
                pytest.fail(f"called a patched function for {{name}}")
            return REAL(name, *args, **kwargs)

        def test_patches(gateway, monkeypatch):
            {ALERT}
            monkeypatch.setattr({module}, "{name}", fake)
            assert 1 == 2

        def test_next(gateway):
            {ALERT}
        """,
    )

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines(["*gateway http://*: last requests*", "POST *-> 201 *"])
    result.stdout.fnmatch_lines(["gateway: 2 servers, 1 flusher, 4 events recorded, 4 delivered, *"])


def test_exception_that_takes_no_note_is_reported_without_one(suite):
    result = suite(
        test_it=f"""
        class Odd(Exception):
            __notes__ = ()

        def test_raises(gateway):
            {ALERT}
            raise Odd("without notes")

        def test_next(gateway):
            {ALERT}
        """,
    )

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines(["E *Odd: without notes", "*gateway http://*: last requests*"])
    result.stdout.fnmatch_lines(["gateway: the note on the failure of test_it.py::test_raises failed: TypeError: *"])


HOOKS = {
    "LiveServers.explain": ("live_servers", "the note on the failure of test_it.py::test_red"),
    "LiveServers.sections": ("live_servers", "the report of test_it.py::test_red"),
    "SessionHarness.end_test": ("session", "the delivery of the audit events of test_it.py::test_red"),
    "SessionHarness.finish": ("session", "the verdict on the audit events"),
    "SessionHarness.properties": ("session", "the report in the JUnit file"),
    "SessionHarness.report": ("session", "the summary"),
}


@pytest.mark.parametrize("arguments", [[], ["-n", "1"]], ids=["one process", "xdist"])
@pytest.mark.parametrize("method", HOOKS)
def test_part_that_fails_in_a_hook_is_one_line_of_the_summary(suite, method, arguments):
    module, part = HOOKS[method]
    name, attribute = method.split(".")

    result = suite(
        *arguments,
        conftest=f"""
        import pytest
        from signal_gateway.testing.plugin.{module} import {name}

        def fail(*args, **kwargs):
            pytest.fail("raised in a hook")

        {name}.{attribute} = fail
        """,
        test_it=f"""
        def test_red(gateway):
            {ALERT}
            assert gateway is None
        """,
    )

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines([f"gateway: *{part} failed: *raised in a hook"])


def test_verdict_that_is_not_known_fails_a_session_without_failures(suite):
    result = suite(
        conftest="""
        from signal_gateway.testing.plugin.session import SessionHarness

        def fail(*args, **kwargs):
            raise OSError("no verdict")

        SessionHarness.finish = fail
        """,
        test_it=f"""
        def test_alert(gateway):
            {ALERT}
        """,
    )

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines(["gateway: the verdict on the audit events failed: OSError: no verdict"])


def test_worker_that_cannot_be_set_up_is_one_line_of_the_summary(suite):
    result = suite(
        *("-n", "1"),
        conftest="""
        from signal_gateway.testing.plugin import session

        def fail(*args, **kwargs):
            raise OSError("no socket for the workers")

        session.OnDemandDataStorage = fail
        """,
        test_it=f"""
        def test_alert(gateway):
            {ALERT}
        """,
    )

    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines(["gateway: the set-up of worker gw0 failed: OSError: no socket for the workers"])
