"""A file system of a few MiB of its own, in memory, that a test fills up."""

import os
import subprocess

import pytest


class SmallDisk:
    """Mounted on a folder. Only root can do that: without it, or without leave to mount, the test is skipped and says so."""

    def __init__(self, folder, mib):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._ballast = folder / "ballast"
        options = f"size={mib}m,mode=0700"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "quorate-test", str(folder)], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"no small disk can be mounted, so a full one is not tested: {done.stderr.strip()}")

    def fill(self, leave):
        """Leaves so many bytes of room."""
        with self._ballast.open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, self.room() - leave)

    def make_room(self):
        self._ballast.unlink()

    def size(self):
        found = os.statvfs(self.folder)
        return found.f_blocks * found.f_frsize

    def room(self):
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def unmount(self):
        subprocess.run(["umount", str(self.folder)], check=True, capture_output=True)
