"""Where the files are that are checked, and how they are read."""

import re
from pathlib import Path

CLUSTER = Path(__file__).resolve().parents[1]


def words(unit, name):
    """The words of a setting of a systemd unit."""
    return [word for value in re.findall(rf"(?m)^{name}=(.*)$", unit.read_text()) for word in value.split()]
