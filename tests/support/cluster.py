"""A cluster of real processes, started by `quorate dev`."""

import json
import os
import signal

import httpx
import openai

from support.admin import Admin
from support.processes import Process, Remembered, binary, is_alive, kill_and_wait
from support.provider import FakeProvider
from support.wait import eventually

START_S = 60


class Node:
    """One node; it can be killed, and started again as it was."""

    def __init__(self, ready, token, folder):
        self.id = ready["id"]
        self.client_url = ready["client_url"]
        self.admin_url = ready["admin_url"]
        self.pid = ready["pid"]
        self.admin = Admin(self.admin_url, token)
        self.own = None
        self._log = folder / f"restarted-node-{self.id}.log"
        self._remembered = None

    def sdk(self, key, **options):
        """The official SDK, which by default would hide failures by trying again."""
        return openai.OpenAI(base_url=f"{self.client_url}/v1", api_key=key["secret"], **{"max_retries": 0, **options})

    def async_sdk(self, key, **options):
        url = f"{self.client_url}/v1"
        return openai.AsyncOpenAI(base_url=url, api_key=key["secret"], **{"max_retries": 0, **options})

    def is_ready(self):
        try:
            return httpx.get(f"{self.admin_url}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def remember(self):
        """Notes how it was started, so that it can be started again after it ended."""
        self._remembered = Remembered(self.pid)

    def kill(self):
        """`kill -9`."""
        self.remember()
        if self.own:
            self.own.kill()
        else:
            kill_and_wait(self.pid)

    def terminate(self):
        """Asks it to drain and stop, and waits until it has."""
        self.remember()
        os.kill(self.pid, signal.SIGTERM)
        eventually(lambda: not is_alive(self.pid), START_S, f"the end of node {self.id}")

    def start_again(self):
        """The same command on the same data."""
        self.own = self._remembered.start(self._log)
        self.pid = self.own.pid

    def wait_until_ready(self):
        def ready():
            if self.own:
                self.own.check_alive()
            return self.is_ready()

        eventually(ready, START_S, f"a ready node {self.id}")


class Cluster:
    """Nodes, their provider, and the one who may do everything."""

    def __init__(self, folder, nodes=3, config=None):
        self.folder = folder
        ready_file = folder / "ready.json"
        command = [binary("quorate", "QUORATE_BIN"), "dev", "--nodes", str(nodes)]
        command += ["--data-dir", str(folder / "data"), "--ready-file", str(ready_file)]
        command += ["--config", str(config)] if config else []
        ready_file.unlink(missing_ok=True)
        self.process = Process(command, folder / "dev.log")
        try:
            eventually(lambda: self.process.check_alive() or ready_file.exists(), START_S, "the ready file")
            ready = json.loads(ready_file.read_text())
            self.token = ready["admin_token"]
            self.nodes = [Node(node, self.token, folder) for node in ready["nodes"]]
            self.provider = FakeProvider(ready["fake_provider_url"]) if not config else None
        except BaseException:
            self.process.stop()
            raise

    @property
    def admin(self):
        """The admin API of some node that runs."""
        return next(node for node in self.nodes if is_alive(node.pid)).admin

    def serve(self, name):
        """A route to the fake provider, and the bill under the same name with `-0`."""
        self.admin.serve(name, self.provider.url)
        return f"{name}-0"

    def leader(self):
        """The node that leads, as those that run agree."""

        def agreed():
            running = [node for node in self.nodes if is_alive(node.pid)]
            leaders = {node.admin.status()["leader"] for node in running}
            (leader,) = leaders
            return next(node for node in running if node.id == leader)

        def found():
            try:
                return agreed()
            except (ValueError, StopIteration, httpx.HTTPError):
                return None

        return eventually(found, 30, "one leader that all nodes agree on")

    def followers(self):
        leader = self.leader()
        return [node for node in self.nodes if node is not leader]

    def kill_all(self):
        """`kill -9` of all nodes at the same moment."""
        for node in self.nodes:
            node.remember()
        for node in self.nodes:
            os.kill(node.pid, signal.SIGKILL)
        eventually(lambda: not any(is_alive(node.pid) for node in self.nodes), START_S, "the end of all nodes")

    def start_all_again(self):
        """What `kill_all` has killed, until all serve."""
        for node in self.nodes:
            node.start_again()
        for node in self.nodes:
            node.wait_until_ready()

    def stop(self):
        """Stops everything that belongs to this cluster, by process id."""
        # First those that the cluster's process does not know: the last node without a majority takes long to drain.
        for node in self.nodes:
            if node.own:
                node.own.kill()
        self.process.stop()
        for node in self.nodes:
            if not node.own and is_alive(node.pid):
                kill_and_wait(node.pid)
