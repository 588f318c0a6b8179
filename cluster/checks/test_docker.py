"""The image: Hadolint has nothing to say of its recipe."""

import subprocess
import sys
from pathlib import Path

from support import CLUSTER

DOCKERFILE = CLUSTER / "docker/Dockerfile"


def tool(name, *arguments):
    """Runs a program of the virtual environment that runs this test."""
    return subprocess.run([str(Path(sys.executable).parent / name), *map(str, arguments)], capture_output=True, text=True)


def test_hadolint_finds_nothing():
    checked = tool("hadolint", "--failure-threshold", "style", DOCKERFILE)
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stderr
