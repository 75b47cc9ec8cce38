import pytest


@pytest.fixture
def suite(pytester, monkeypatch):
    """A user's suite in a folder of its own, run in a subprocess with warnings as errors."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini(
        """
        [pytest]
        addopts = -W error -p no:cacheprovider -p no:randomly -p no:schemathesis
        asyncio_default_fixture_loop_scope = function
        """
    )

    def run(*arguments, **files):
        pytester.makepyfile(**files)
        return pytester.runpytest_subprocess(*arguments, timeout=120)

    return run
