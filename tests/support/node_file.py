"""One node with a configuration file that a test writes, and `quorate serve` with it."""

import json
import subprocess

import httpx

from support.processes import Process, binary, free_ports
from support.wait import eventually

# A node that cannot start says so at once. What it tries for longer, a test waits for by itself.
REFUSAL_S = 20
START_S = 60


class NodeFile:
    """The file of one node. What `cluster` and `node` have goes into the tables of that name; `before` them and
    `objects` after them are more of the file, as text."""

    def __init__(self, folder, **cluster):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.path = folder / "node.toml"
        self.data = folder / "data"
        self.client, self.admin, self.peer = (f"127.0.0.1:{port}" for port in free_ports(3))
        self.cluster = cluster
        self.node = {}
        self.before = self.objects = ""
        self.env = None
        self.command = [binary("quorate", "QUORATE_BIN"), "serve", "--config", str(self.path)]

    def join_by(self, token):
        """Has the node join by this token at its first start."""
        file = self.folder / "join-token"
        file.write_text(token)
        self.cluster["join_token_file"] = str(file)
        return self

    def write(self):
        node = {"data_dir": str(self.data), "client_listen": self.client, "admin_listen": self.admin, **self.node}
        cluster = {"peer_listen": self.peer, **self.cluster}
        # Texts, numbers, truths and lists are the same in JSON and TOML.
        tables = {"node": node, "cluster": cluster}
        lines = [
            line
            for name, fields in tables.items()
            for line in (f"[{name}]", *(f"{field} = {json.dumps(value)}" for field, value in fields.items()))
        ]
        self.path.write_text("\n".join([self.before, *lines, self.objects, ""]))

    def refused(self):
        """Runs a node that does not start: its exit code, and what it said on standard error."""
        self.write()
        return subprocess.run(self.command, capture_output=True, text=True, timeout=REFUSAL_S, env=self.env)

    def start(self):
        """Starts a node, and goes on at once."""
        self.write()
        return Process(self.command, self.folder / "node.log", env=self.env)

    def wait_for(self, process, path):
        """Waits until the node answers on a path of its admin address: `/livez`, `/readyz`."""

        def answers():
            process.check_alive()
            try:
                return httpx.get(f"http://{self.admin}{path}", timeout=2).status_code == 200
            except httpx.HTTPError:
                return False

        eventually(answers, START_S, f"{path} of the node in {self.folder}")
