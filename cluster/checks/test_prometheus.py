"""The alert rules: Prometheus understands them, and each fires when it should."""

import subprocess

import pytest

from support import CLUSTER

FOLDER = CLUSTER / "prometheus"


@pytest.mark.parametrize("words", [("check", "rules", "quorate.rules.yml"), ("test", "rules", "quorate.test.yml")], ids=["check", "test"])
def test_promtool_agrees(words):
    checked = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
