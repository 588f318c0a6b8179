"""What is shipped beside the program fits it: every node file in `cluster` can be used, every command of the operators' guide exists."""

import re
from pathlib import Path

import pytest

from support.command import run

ROOT = Path(__file__).resolve().parents[1]
CLUSTER = ROOT / "cluster"
FILES = sorted(CLUSTER.rglob("*.toml"))
GUIDE = sorted((ROOT / "docs/operations").glob("*.md"))
CODE = re.compile(r"```.*?```|`[^`]+`", re.DOTALL)
# Commands that are one word; all others are a noun and a verb.
ALONE = {"serve", "dev", "probe", "usage", "apply", "doctor"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CLUSTER)))
def test_a_shipped_node_file_can_be_used(file):
    validated = run("config", "validate", file)
    assert validated.returncode == 0, validated.stderr


def commands():
    """The commands in the code of the guide, as their words."""
    code = [piece for page in GUIDE for piece in CODE.findall(page.read_text())]
    found = {match for piece in code for match in re.findall(r"\bquorate ([a-z]+)(?: ([a-z-]+))?", piece)}
    return sorted({(noun,) if noun in ALONE or not verb else (noun, verb) for noun, verb in found})


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_of_the_guide_exists(words):
    shown = run(*words, "--help")
    assert shown.returncode == 0, shown.stderr
