"""The shell scripts of `cluster`: ShellCheck has nothing to say of them."""

import subprocess

import pytest

from support import CLUSTER

SCRIPTS = sorted(CLUSTER.rglob("*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.relative_to(CLUSTER)))
def test_shellcheck_finds_nothing(script):
    checked = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
