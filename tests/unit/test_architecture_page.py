"""docs/architecture.md names every package, and no file that does not exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "signal_gateway"
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def test_page_names_every_package():
    packages = [file.parent.relative_to(SOURCE).as_posix() for file in SOURCE.rglob("__init__.py")]

    missing = [package for package in packages if package != "." and f"`{package}" not in PAGE]

    assert not missing


def test_files_on_the_page_exist():
    names = set(re.findall(r"[\w/]+\.py\b", PAGE))
    existing = [file.relative_to(SOURCE).as_posix() for file in SOURCE.rglob("*.py")]

    unknown = [name for name in names if not any(f"/{file}".endswith(f"/{name}") for file in existing)]

    assert len(names) > 40
    assert not unknown


def test_walk_of_an_alert_names_the_files_in_order():
    walk = PAGE.partition("## An alert")[2].partition("## An event")[0]
    order = [
        "web/serving/http_protocol.py",
        "gateway/http/admission.py",
        "gateway/http/endpoint.py",
        "gateway/signals/alertmanager.py",
        "gateway/remediation/dispatcher.py",
        "gateway/targets/resolver.py",
        "gateway/remediation/creation.py",
        "kubernetes/index.py",
        "gateway/audit/recorder.py",
    ]

    assert [walk.index(name) for name in order] == sorted(walk.index(name) for name in order)
