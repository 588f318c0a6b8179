"""Three nodes, each on a machine of its own that can fail slowly."""

import httpx

from support.admin import Admin
from support.bad_machine import BadMachine
from support.metrics import metric
from support.node_file import NodeFile
from support.wait import eventually

BEGIN_S = 60


class MachineNode:
    """One node and its machine."""

    def __init__(self, folder):
        self.file = NodeFile(folder)
        self.machine = BadMachine(folder)
        self.file.env = self.machine.env
        self.admin_url = f"http://{self.file.admin}"
        self.process = self.admin = None

    def start(self):
        self.process = self.file.start()
        self.file.wait_for(self.process, "/readyz")

    def status(self):
        return self.admin.status()

    def leads(self):
        status = self.status()
        return status["leader"] == status["node"]

    def probe(self, path):
        return httpx.get(f"{self.admin_url}{path}", timeout=5)

    def metric(self, name):
        return metric(self, name)


class Machines:
    """A cluster of three of them."""

    def __init__(self, folder, **cluster):
        self.nodes = [MachineNode(folder / f"node-{number}") for number in (1, 2, 3)]
        for node in self.nodes:
            node.file.cluster.update(cluster)
        try:
            first, *others = self.nodes
            first.file.cluster["found"] = True
            first.start()
            self.token = first.file.data.joinpath("admin-token").read_text().strip()
            for node in self.nodes:
                node.admin = Admin(node.admin_url, self.token)
            for node in others:
                node.file.join_by(first.admin.join_token())
                node.start()
            eventually(self.are_well, BEGIN_S, "three voters that hear each other")
        except BaseException:
            self.stop()
            raise

    def are_well(self):
        for node in self.nodes:
            members = node.status()["members"]
            voters = [member for member in members if member["is_voter"]]
            heard = [member for member in members if member["silent_ms"] is not None and member["silent_ms"] < 3_000]
            if (len(voters), len(heard)) != (3, 2):
                return False
        return True

    def leader(self):
        return eventually(lambda: next((node for node in self.nodes if node.process.popen.poll() is None and node.leads()), None), 30, "a leader")

    def stop(self):
        for node in self.nodes:
            if node.process and node.process.popen.poll() is None:
                node.process.kill()
