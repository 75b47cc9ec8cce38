"""What the README shows works as it stands there."""

import re
from pathlib import Path

import pytest
import yaml

from signal_gateway.gateway.service.config import ServiceConfig

README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_tests_in_the_readme_pass(suite):
    tests = [block for block in blocks("python") if "def test_" in block and "create_app" not in block]
    assert len(tests) == 2

    result = suite(test_readme="import pytest\n\n\n" + "\n\n".join(tests))

    result.assert_outcomes(passed=3)


@pytest.mark.parametrize("block", blocks("yaml"))
def test_configuration_in_the_readme_is_valid(block, tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(block)

    config = ServiceConfig.load_from_file(path, environment={})

    assert config.server.listen == yaml.safe_load(block)["server"]["listen"]


def test_every_fixture_is_in_the_readme():
    plugin = (Path(__file__).parents[2] / "src" / "signal_gateway" / "pytest_plugin.py").read_text()
    fixtures = re.findall(r"@pytest\.fixture.*?\ndef (\w+)", plugin)

    assert fixtures
    assert [name for name in fixtures if f"| `{name}` |" not in README] == []
