"""Look into a wheel and a source distribution: what must be there is, and nothing else came along."""

import sys
import tarfile
import zipfile
from pathlib import Path

WHEEL_NEEDS = (
    "signal_gateway/py.typed",
    "signal_gateway/pytest_plugin.py",
    "signal_gateway/kubernetes/manifests/remediationrequests.yaml",
    "signal_gateway/datastorage/viewer/templates/base.html",
    "signal_gateway/datastorage/viewer/static/viewer.css",
)
SDIST_NEEDS = ("README.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml", "tests", "examples", "docs", "src")
SDIST_MAY_HAVE = (*SDIST_NEEDS, ".ci", ".gitignore", "CONTRIBUTING.md", "PKG-INFO", "SECURITY.md")
UNWANTED = ("__pycache__", ".pyc", "_build/", ".venv")


def main(paths: list[Path]) -> int:
    """Return how many complaints there are, and print them."""
    complaints = []
    for path in paths:
        if path.suffix == ".whl":
            names = zipfile.ZipFile(path).namelist()
            complaints += [f"{path.name} lacks {name}" for name in WHEEL_NEEDS if name not in names]
            strangers = {name.split("/")[0] for name in names} - {"signal_gateway"}
            complaints += [f"{path.name} has {name}" for name in strangers if not name.endswith(".dist-info")]
        else:
            with tarfile.open(path) as archive:
                names = [name.partition("/")[2] for name in archive.getnames()]
            top = {name.partition("/")[0] for name in names if name}
            complaints += [f"{path.name} lacks {name}" for name in SDIST_NEEDS if name not in top]
            complaints += [f"{path.name} has {name}" for name in sorted(top.difference(SDIST_MAY_HAVE))]
        complaints += [f"{path.name} has {name}" for name in names if any(part in name for part in UNWANTED)]
        sys.stdout.write(f"{path.name}: {len(names)} files\n")
    sys.stdout.writelines(f"{complaint}\n" for complaint in complaints)
    return len(complaints)


if __name__ == "__main__":
    sys.exit(min(main([Path(argument) for argument in sys.argv[1:]]), 1))
