"""A machine that fails slowly, for one process: a slow or broken disk, a clock that is off. See bad_machine.cpp."""

import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".cpp")


def library(folder):
    """Compiles what is loaded into a process. RocksDB needs a C++ compiler anyway."""
    built = folder / "bad_machine.so"
    if not built.exists():
        command = [os.environ.get("CXX", "c++"), "-O1", "-shared", "-fPIC", "-o", str(built), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return built


class BadMachine:
    """The faults of one process. It begins well."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "machine"
        self.env = {**os.environ, "LD_PRELOAD": str(library(folder)), "QUORATE_TEST_MACHINE": str(self._file)}

    def suffers(self, **faults):
        """From now on these faults and no others."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text("".join(f"{word} {number}\n" for word, number in faults.items()))
        fresh.rename(self._file)

    def recovers(self):
        self.suffers()
