"""The cluster of `cluster/local`: its script and its files as they are, but on loopback addresses that no other run has."""

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

from support.admin import Admin
from support.cluster import Cluster, Node
from support.processes import binary, is_alive, kill_and_wait
from support.provider import OwnProvider

SHIPPED = Path(__file__).resolve().parents[2] / "cluster"
SCRIPT_S = 120


class LocalCluster(Cluster):
    """Three or five nodes and a provider of their own. `node` is more of the table of that name of each file."""

    def __init__(self, folder, nodes=3, **node):
        self.folder = folder
        self._home = folder / "home"
        self._files = folder / "cluster/local"
        shutil.copytree(SHIPPED / "local", self._files)
        shutil.copy(SHIPPED / "found.sh", self._files.parent)
        network = f"127.{random.randrange(16, 255)}.{random.randrange(1, 255)}"
        for file in self._files.glob("*.toml"):
            more = "".join(f"\n{field} = {json.dumps(value)}" for field, value in node.items())
            file.write_text(file.read_text().replace("127.0.1.", f"{network}.").replace("[node]", f"[node]{more}"))
        self.provider = OwnProvider(folder, "provider")
        self.process = self.provider.process
        try:
            self.start(nodes)
            self.token = self._home.joinpath("admin-token").read_text().strip()
            self.nodes = [self._node(number, network) for number in range(1, nodes + 1)]
        except BaseException:
            self.stop()
            raise

    def start(self, nodes=3):
        """`local.sh start`."""
        return self.script("start", str(nodes))

    def pid(self, number):
        """The process of a node, as the script noted it."""
        return int(self._home.joinpath(f"node-{number}.pid").read_text())

    def script(self, *words):
        """Runs the script; it must succeed. What it said."""
        command = [str(self._files / "local.sh"), *words]
        env = {**os.environ, "QUORATE_BIN": binary("quorate", "QUORATE_BIN"), "QUORATE_LOCAL": str(self._home)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=SCRIPT_S, env=env)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stderr}"
        return done.stdout + done.stderr

    def stop(self):
        """Ends everything at once: nobody has to wait for the last two nodes, which drain without a quorum."""
        for file in self._home.glob("node-*.pid"):
            pid = int(file.read_text())
            if is_alive(pid):
                kill_and_wait(pid)
        self.process.stop()

    def _node(self, number, network):
        admin_url = f"http://{network}.{number}:8081"
        own = Admin(admin_url, self.token).status()["node"]
        found = {"id": own, "client_url": f"http://{network}.{number}:8080", "admin_url": admin_url, "pid": self.pid(number)}
        return Node(found, self.token, self.folder)
