"""Small file systems."""

import shutil
import subprocess

import pytest
from tests.support.small_disk import run


@pytest.fixture
def mount(tmp_path):
    """Mount a small file system."""
    mounted = []

    def mount(kind, size, options=""):
        directory = tmp_path / kind
        directory.mkdir()
        if kind == "tmpfs":
            done = run("mount", "-t", "tmpfs", "-o", f"size={size}{options}", "tmpfs", directory)
        else:
            image = tmp_path / "image"
            with image.open("wb") as file:
                file.truncate(size)
            done = bool(shutil.which("mkfs.ext4")) and run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", image)
            done = done and run("mount", "-o", "loop", image, directory)
        if not done:
            pytest.skip(f"needs the right to mount a small {kind}")
        mounted.append(directory)
        return directory

    yield mount
    for directory in mounted:
        subprocess.run(["umount", "-l", directory], check=True)
