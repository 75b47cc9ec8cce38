"""`.ci/parts` installs what is missing, also where dpkg knows the name of a package that is not installed."""

import os
import subprocess
from pathlib import Path

import pytest

PARTS = Path(__file__).parents[2] / ".ci" / "parts"
PACKAGES = ("prometheus-alertmanager", "prometheus", "postgresql", "pgbouncer", "chromium", "chromium-driver")


@pytest.fixture
def machine(tmp_path):
    """Run `.ci/parts` against a dpkg with the given status of each package; return the packages it installs."""

    def run(statuses, *, has_kubectl=True):
        programs = tmp_path / "programs"
        programs.mkdir(exist_ok=True)
        cases = "\n".join(f'  {name}) printf "{status}" ;;' for name, status in statuses.items())
        scripts = {
            # like the real one it succeeds for a name that another package mentions
            "dpkg-query": f'for name; do :; done\ncase "$name" in\n{cases}\n  *) exit 1 ;;\nesac',
            "apt-get": f'echo "$@" >> {tmp_path}/apt.log',
            "sudo": '"$@"',
            "mkdir": "true",
            "tee": "cat",
        } | ({"kubectl": "true"} if has_kubectl else {})
        for name, body in scripts.items():
            (programs / name).write_text(f"#!/bin/bash\n{body}\n")
            (programs / name).chmod(0o755)
        for name in ("bash", "env", "cat"):
            if not (programs / name).exists():
                (programs / name).symlink_to(f"/usr/bin/{name}")
        log = tmp_path / "apt.log"
        log.unlink(missing_ok=True)
        subprocess.run([PARTS], check=True, env=os.environ | {"PATH": str(programs)}, capture_output=True)
        lines = log.read_text().splitlines() if log.exists() else []
        installs = [line.split() for line in lines if line.startswith("install ")]
        return [word for line in installs for word in line[1:] if not word.startswith("-")]

    return run


def test_machine_with_every_part_installs_nothing(machine):
    assert machine(dict.fromkeys(PACKAGES, "installed")) == []


@pytest.mark.parametrize("status", ["not-installed", "config-files", "unpacked", "half-installed"])
@pytest.mark.parametrize("missing", PACKAGES)
def test_machine_without_one_part_installs_that_one(machine, missing, status):
    assert machine(dict.fromkeys(PACKAGES, "installed") | {missing: status}) == [missing]


def test_package_that_dpkg_does_not_know_is_installed(machine):
    statuses = dict.fromkeys(PACKAGES, "installed")
    del statuses["chromium-driver"]

    assert machine(statuses) == ["chromium-driver"]


def test_kubectl_from_any_source_will_do(machine):
    assert machine(dict.fromkeys(PACKAGES, "installed"), has_kubectl=False) == ["kubernetes-client"]
