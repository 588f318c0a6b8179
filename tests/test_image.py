"""The image of `cluster/docker` holds what the program loads: nothing is missing where it has never been run."""

import re
import subprocess
from pathlib import Path

from support.processes import binary

DOCKERFILE = Path(__file__).resolve().parents[1] / "cluster/docker/Dockerfile"
# Of every Debian.
BASE = {"libc6", "libgcc-s1"}


def package_of(library):
    """The Debian package of a file. Debian's own packages may say `/lib` for what is in `/usr/lib`."""
    found = subprocess.run(["dpkg-query", "-S", f"*{library}"], capture_output=True, text=True, check=True).stdout
    return found.split(":")[0]


def test_every_library_of_the_program_is_of_a_package_of_the_image():
    loaded = subprocess.run(["ldd", binary("quorate", "QUORATE_BIN")], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"=> \S*/(\S+) \(", loaded)
    assert "libstdc++.so.6" in libraries, loaded
    installed = set(re.search(r"--no-install-recommends (.*?) *\\", DOCKERFILE.read_text())[1].split())
    assert {package_of(library) for library in libraries} - BASE <= installed
