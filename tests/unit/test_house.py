"""The rules of the source tree that no linter checks."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import signal_gateway

ROOT = Path(signal_gateway.__file__).parent
MAX_MODULES = 14
PACKAGES = sorted(path.parent for path in ROOT.rglob("__init__.py"))


def relative(path):
    return str(path.relative_to(ROOT.parent))


def modules_in(package):
    return sorted(path.stem for path in package.glob("*.py") if path.stem != "__init__")


def public_names_in(package):
    """The public modules and sub-packages of a package."""
    names = [*modules_in(package), *(path.parent.name for path in package.glob("*/__init__.py"))]
    return sorted(name for name in names if not name.startswith("_"))


def test_public_class_and_function_names_are_unique():
    places = defaultdict(set)
    for path in ROOT.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            is_definition = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if is_definition and not node.name.startswith("_"):
                places[node.name].add(relative(path))

    repeated = [f"{name}: {', '.join(sorted(paths))}" for name, paths in sorted(places.items()) if len(paths) > 1]
    assert not repeated, "\n".join(["public names with several definitions:", *repeated])


def test_no_folder_has_too_many_modules():
    sizes = {relative(package): len(modules_in(package)) for package in PACKAGES}

    assert {folder: size for folder, size in sizes.items() if size > MAX_MODULES} == {}


def test_docstring_of_each_package_names_its_modules():
    unnamed = []
    for package in PACKAGES:
        docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
        words = set(re.findall(r"\w+", docstring))
        missing = [name for name in public_names_in(package) if name not in words]
        if missing:
            unnamed.append(f"{relative(package)}: {', '.join(missing)}")

    assert not unnamed, "\n".join(["modules that the docstring of their package does not name:", *unnamed])


def test_text_files_are_read_and_written_with_an_encoding():
    without = []
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                named = {keyword.arg for keyword in node.keywords}
                if node.func.attr in ("read_text", "write_text") and "encoding" not in named:
                    without.append(f"{relative(path)}:{node.lineno}")

    assert not without, "\n".join(["calls without encoding=...:", *without])
