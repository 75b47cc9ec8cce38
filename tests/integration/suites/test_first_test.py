"""The extra `[pytest]` brings everything that a first test needs, and a first run shows no warning."""

import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def first_run(pytester, monkeypatch):
    """Run a suite as a newcomer does: without any configuration, with the plugins of the extra alone."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert [re.split(r"[<>=\[ ]", requirement)[0] for requirement in extras["pytest"]] == ["pytest"]
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(**files):
        pytester.makepyfile(**files)
        return pytester.runpytest_subprocess("-p", "anyio", "-p", "signal_gateway.pytest_plugin", timeout=120)

    return run


@pytest.mark.parametrize("name", ["test_quickstart", "test_quickstart_asyncio"])
def test_quickstart_passes_without_a_warning(first_run, name):
    text = (REPOSITORY / "examples" / "quickstart" / f"{name}.py").read_text()

    result = first_run(**{name: text})

    tests = len(re.findall(r"^(?:async )?def test_", text, re.MULTILINE))
    result.assert_outcomes(passed=tests, warnings=0)
    assert result.stderr.str() == ""
