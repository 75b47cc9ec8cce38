import subprocess
import sys

HEAVY = {"asyncio", "httpx", "httpx2", "lightkube", "orjson", "prometheus_client", "pydantic", "rich", "sqlite3", "ssl"}
HEAVY |= {"starlette", "typer", "uvicorn", "yaml"}

LOOK = """
import sys
import pytest
before = set(sys.modules)
import signal_gateway.pytest_plugin
new = set(sys.modules) - before
print(sorted(new & set(sys.argv[1].split(","))))
print(sorted(name for name in new if name.startswith("signal_gateway")))
"""


def test_plugin_that_is_not_used_imports_nothing_heavy():
    output = subprocess.run(
        [sys.executable, "-c", LOOK, ",".join(HEAVY)], check=True, capture_output=True, text=True
    ).stdout.splitlines()

    ours = ["signal_gateway", "signal_gateway._lazy", "signal_gateway._machine", "signal_gateway.pytest_plugin"]
    assert output == ["[]", str(ours)]


def test_suite_that_does_not_use_the_plugin_sees_nothing_of_it(suite):
    result = suite(
        test_it="""
        import sys

        def test_nothing():
            assert "signal_gateway.testing" not in sys.modules
            assert "starlette" not in sys.modules
        """
    )

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*gateway: *")


def test_xdist_run_that_does_not_use_the_plugin_starts_no_datastorage(suite):
    result = suite(
        "-n",
        "1",
        conftest="""
        import sys

        def pytest_unconfigure(config):
            if not hasattr(config, "workerinput"):
                assert "signal_gateway.testing.datastorage.embedded" not in sys.modules
                assert "signal_gateway.audit.store" not in sys.modules
                assert "httpx" not in sys.modules
        """,
        test_it="def test_nothing(): pass",
    )

    result.assert_outcomes(passed=1)
    assert result.ret == 0


def test_plugin_can_be_switched_off(suite):
    result = suite("-p", "no:gateway", test_it="def test_it(gateway): pass")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'gateway' not found*"])
