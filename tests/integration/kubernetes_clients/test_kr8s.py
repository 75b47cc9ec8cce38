import subprocess
import sys
from pathlib import Path

SUITE = Path(__file__).with_name("kr8s_suite.py")


def test_kr8s_works_unchanged():
    """In a process of its own: kr8s leaves its connections to the garbage collector, which is an error here."""
    command = [sys.executable, "-m", "pytest", "-q", "-W", "default", "-n", "0", "-p", "no:cacheprovider", str(SUITE)]

    result = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[3])

    assert result.returncode == 0, result.stdout
    assert f"{SUITE.read_text().count('def test_')} passed" in result.stdout
