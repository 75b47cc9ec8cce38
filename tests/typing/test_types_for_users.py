"""mypy without plugins, and pyright, accept what works and refuse what fails.

`passes` has snippets that each type checker must accept, `fails` has snippets whose marked lines it must refuse.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
SOURCE = REPOSITORY / "src"
EXAMPLES = REPOSITORY / "examples"
EXAMPLE_FOLDERS = sorted({path.relative_to(EXAMPLES).parts[0] for path in EXAMPLES.rglob("*.py")})
PAGES = ("README.md", "docs/tutorial.md")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)

pytestmark = pytest.mark.slow

FIXTURES = {
    "gateway": "LiveGateway",
    "gateway_factory": "GatewayFactory",
    "gateway_audit_trail": "AuditTrail",
    "gateway_serve": "ServiceFactory",
}
HEADER = """
import pytest
from signal_gateway import GatewayConfig
from signal_gateway.audit import AuditTrail
from signal_gateway.testing import GatewayFactory, LiveGateway, ServiceFactory
"""


class MyPy:
    """mypy --strict without pydantic's plugin, on all files of a folder."""

    def __init__(self, folder):
        self._folder = folder

    def errors(self, *roots):
        """Return the lines with errors by file name, with the text of the first."""
        config = self._folder / "mypy.ini"
        config.write_text("[mypy]\npython_version = 3.11\nexplicit_package_bases = True\n")
        command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", f"--config-file={config}", "."]
        environment = os.environ | {"MYPYPATH": ":".join(str(root) for root in (SOURCE, *roots))}
        result = subprocess.run(command, capture_output=True, text=True, cwd=self._folder, env=environment, check=False)
        assert result.returncode in (0, 1), result.stdout + result.stderr
        found = defaultdict(dict)
        for path, line, text in re.findall(r"^(.+?):(\d+): error: (.*)$", result.stdout, re.MULTILINE):
            found[Path(path).name].setdefault(int(line), text)
        return dict(found)


class Pyright:
    """Pyright in its standard mode, on all files of a folder."""

    def __init__(self, folder):
        self._folder = folder

    def errors(self, *roots):
        """Return the lines with errors by file name, with the text of the first."""
        settings = {
            "extraPaths": [str(root) for root in (SOURCE, *roots)],
            "pythonVersion": "3.11",
            "typeCheckingMode": "standard",
        }
        (self._folder / "pyrightconfig.json").write_text(json.dumps(settings))
        command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
        result = subprocess.run(command, capture_output=True, text=True, cwd=self._folder, check=False)
        assert result.returncode in (0, 1), result.stdout + result.stderr
        report = json.loads(result.stdout)
        assert report["summary"]["filesAnalyzed"] == len(list(self._folder.rglob("*.py"))), result.stdout
        found = defaultdict(dict)
        for diagnostic in report["generalDiagnostics"]:
            if diagnostic["severity"] == "error":
                line = diagnostic["range"]["start"]["line"] + 1
                found[Path(diagnostic["file"]).name].setdefault(line, diagnostic["message"])
        return dict(found)


@pytest.fixture(params=[MyPy, Pyright], ids=["mypy", "pyright"])
def checker(request, code):
    return request.param(code)


@pytest.fixture
def code(tmp_path):
    """A folder for the code to check."""
    folder = tmp_path / "code"
    folder.mkdir()
    return folder


def test_snippets_that_work_are_accepted(checker, code):
    shutil.copytree(HERE / "passes", code, dirs_exist_ok=True)

    assert checker.errors() == {}


def test_snippets_that_fail_are_refused_line_by_line(checker, code):
    shutil.copytree(HERE / "fails", code, dirs_exist_ok=True)
    expected = {
        path.name: {number for number, line in enumerate(path.read_text().splitlines(), 1) if "# error: " in line}
        for path in code.glob("*.py")
    }

    found = checker.errors()

    assert len(expected) == 2
    assert {name: set(lines) for name, lines in found.items()} == expected, found


def test_examples_are_accepted(checker, code):
    for folder in EXAMPLE_FOLDERS:
        shutil.copytree(EXAMPLES / folder, code / folder)

    assert checker.errors(*(code / folder for folder in EXAMPLE_FOLDERS)) == {}


def test_python_of_the_readme_and_the_tutorial_is_accepted(checker, code):
    for page in PAGES:
        blocks = BLOCK.findall((REPOSITORY / page).read_text())
        assert blocks
        (code / f"{Path(page).stem.lower()}.py").write_text(HEADER + annotated("\n\n".join(blocks)))

    assert checker.errors(EXAMPLES / "own_service") == {}


def annotated(code):
    """Add the types of the fixtures to the parameters of tests, which the pages leave out for brevity."""

    def typed(match):
        parameters = [name.strip() for name in match[2].split(",") if name.strip()]
        listed = ", ".join(f"{name}: {FIXTURES[name]}" for name in parameters)
        return f"def {match[1]}({listed}) -> None:"

    code = re.sub(r"def (test_\w+)\(([^)]*)\):", typed, code)
    return re.sub(r"def gateway_config\(\):", "def gateway_config() -> GatewayConfig:", code)
