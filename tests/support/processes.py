"""Real processes: started in a session of their own, stopped by process group, logs kept beside their data."""

import contextlib
import os
import random
import signal
import socket
import subprocess
from pathlib import Path

from support.wait import eventually

STOP_S = 15
# Below those that systems give to outgoing connections, as `quorate dev` chooses them.
PORTS = range(10_240, 16_000)
_given = set()


def target_folder():
    """Where cargo leaves binaries."""
    root = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))


def binary(name, variable):
    """A binary of this workspace, from the environment or from the debug build."""
    path = Path(os.environ.get(variable, target_folder() / "debug" / name))
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `make binaries`, or set {variable}")
    return str(path)


def free_ports(count):
    """Ports that nobody has at this moment, and that neither another caller nor any outgoing connection is given."""
    ports = []
    while len(ports) < count:
        port = random.choice([port for port in PORTS if port not in _given])
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.append(port)
            _given.add(port)
    return ports


def is_alive(pid):
    """Whether the process runs, or any thread of it: while one does, its sockets are open, though its first may be a zombie."""
    states = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                states.append(task.joinpath("stat").read_text().rsplit(")", 1)[1].split()[0])
    return any(state not in "ZX" for state in states)


class Process:
    """A process group that this test run started."""

    def __init__(self, command, log, cwd=None, env=None):
        self.log = Path(log)
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=cwd, env=env, start_new_session=True
            )

    @property
    def pid(self):
        return self.popen.pid

    def check_alive(self):
        """Fails with the end of the log if the process has ended."""
        if self.popen.poll() is not None:
            raise RuntimeError(f"exited with {self.popen.returncode}:\n{self.tail()}")

    def tail(self, size=4000):
        return self.log.read_text(errors="replace")[-size:]

    def kill(self):
        """`kill -9` of the whole group."""
        self._signal(signal.SIGKILL)
        self.popen.wait(STOP_S)

    def stop(self):
        """Asks it to stop; insists if it does not. Returns whether asking was enough."""
        self._signal(signal.SIGTERM)
        try:
            self.popen.wait(STOP_S)
            return True
        except subprocess.TimeoutExpired:
            self.kill()
            return False

    def _signal(self, number):
        if self.popen.poll() is None:
            os.killpg(self.pid, number)


class Remembered:
    """How a process was started, read before it is killed, so that the same can be started again."""

    def __init__(self, pid):
        self.pid = pid
        proc = Path(f"/proc/{pid}")
        self.command = [os.fsdecode(word) for word in proc.joinpath("cmdline").read_bytes().split(b"\0")[:-1]]
        self.cwd = os.readlink(proc / "cwd")
        pairs = proc.joinpath("environ").read_bytes().split(b"\0")
        self.env = dict(os.fsdecode(pair).split("=", 1) for pair in pairs if b"=" in pair)

    def start(self, log):
        return Process(self.command, log, cwd=self.cwd, env=self.env)


def kill_and_wait(pid):
    """`kill -9` of one process that a process of ours started."""
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_alive(pid), what=f"the end of process {pid}")
