"""The image and the compose file: Hadolint has nothing to say of the one, the other is what the Compose specification allows."""

import subprocess
import sys
from pathlib import Path

import yaml

from support import CLUSTER

DOCKERFILE = CLUSTER / "docker/Dockerfile"
COMPOSE = CLUSTER / "docker/compose.yaml"


def tool(name, *arguments):
    """Runs a program of the virtual environment that runs this test."""
    return subprocess.run([str(Path(sys.executable).parent / name), *map(str, arguments)], capture_output=True, text=True)


def test_hadolint_finds_nothing():
    checked = tool("hadolint", "--failure-threshold", "style", DOCKERFILE)
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stderr


def test_the_compose_file_keeps_to_the_specification():
    checked = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert checked.returncode == 0, checked.stdout


def test_every_node_of_the_compose_file_is_started_alike_and_has_data_of_its_own():
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    nodes = {name: service for name, service in services.items() if name.startswith("node-")}
    assert len(nodes) == 3
    assert len({str(service["command"]) for service in nodes.values()}) == 1
    mounts = [volume.split(":")[:2] for service in nodes.values() for volume in service["volumes"]]
    data = [source for source, target in mounts if target == "/var/lib/quorate"]
    assert len(set(data)) == len(nodes)
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in services.values())
    assert not any(source == "admin" for source, _ in mounts), "no node reads the admin key"
