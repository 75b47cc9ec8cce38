"""Every Python block in the documentation runs: those of a page are one suite, in their order."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILE_NAME = re.compile(r"# (\w+)\.py\n")
TEST = re.compile(r"^(?:async )?def test_", re.MULTILINE)
PAGES = sorted(page for page in DOCS.rglob("*.md") if BLOCK.search(page.read_text()) and "_build" not in page.parts)


def files_of(page):
    """Return a page's blocks by the file that they belong to: the one on their first line, or else the test module."""
    files = defaultdict(list)
    for block in BLOCK.findall(page.read_text()):
        named = FILE_NAME.match(block)
        files[named[1] if named else "test_page"].append(block)
    return {name: "\n\n".join(blocks) for name, blocks in files.items()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_python_on_the_page_runs(suite, page):
    files = files_of(page)
    tests = sum(len(TEST.findall(text)) for text in files.values())
    assert tests, "a page's blocks belong to tests, so that they are run"

    result = suite(**files)

    assert result.ret == pytest.ExitCode.OK, result.stdout.str()
    assert result.parseoutcomes()["passed"] >= tests
