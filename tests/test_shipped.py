"""Every node file in `cluster` can be used as it is."""

from pathlib import Path

import pytest

from support.command import run

CLUSTER = Path(__file__).resolve().parents[1] / "cluster"
FILES = sorted(CLUSTER.rglob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CLUSTER)))
def test_a_shipped_node_file_can_be_used(file):
    validated = run("config", "validate", file)
    assert validated.returncode == 0, validated.stderr
