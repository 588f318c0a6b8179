"""Nodes that come and go: each with a file of its own, started by a test under a name."""

import httpx

from support.admin import Admin
from support.command import run
from support.node_file import NodeFile
from support.wait import eventually

READY_S = 60


class Member:
    """One node of a cluster that changes."""

    def __init__(self, folder, name, cluster=None, objects="", unready_ms=1_000):
        self.name = name
        self.file = NodeFile(folder, **(cluster or {}))
        self.file.objects = objects
        self.file.node = {"name": name, "unready_ms": unready_ms}
        self.process = None
        self.url = f"http://{self.file.client}"
        self.admin_url = f"http://{self.file.admin}"

    def start(self):
        self.process = self.file.start()
        return self

    def wait(self):
        self.file.wait_for(self.process, "/readyz")
        return self

    def is_ready(self):
        try:
            return httpx.get(f"{self.admin_url}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


class Town:
    """A cluster whose nodes come and go."""

    def __init__(self, folder):
        self.folder = folder
        self.started = []
        self.members = {}
        self.token = None

    def come(self, name, **fields):
        """A fresh node comes under this name: the first founds the cluster."""
        member = Member(self.folder / f"{name}-{len(self.started)}", name, **fields)
        if self.token:
            member.file.join_by(self.admin.join_token())
        else:
            member.file.cluster["found"] = True
        self.started.append(member)
        member.start().wait()
        self.members[name] = member
        if not self.token:
            self.token = member.file.data.joinpath("admin-token").read_text().strip()
        return member

    @property
    def admin(self):
        """The admin API of some node that runs."""
        running = [member for member in self.members.values() if member.process.popen.poll() is None]
        return Admin(running[0].admin_url, self.token)

    def run(self, *words, **environment):
        """`quorate`, asking any node."""
        servers = ",".join(member.admin_url for member in self.members.values())
        return run(*words, **{"QUORATE_SERVER": servers, "QUORATE_TOKEN": self.token, **environment})

    def done(self, *words):
        ended = self.run(*words)
        assert ended.returncode == 0, f"{words}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended

    def voters(self):
        """The names of those that vote, and of those that should."""
        admin = self.admin
        nodes = {node["id"]: node for node in admin.items("/nodes")}
        seats = {node["name"] for node in nodes.values() if node["has_seat"]}
        votes = {member["node"] for member in admin.status()["members"] if member["is_voter"]}
        return {nodes[node]["name"] if node in nodes else node for node in votes}, seats

    def wait_for_voters(self, *names):
        eventually(lambda: self.voters() == (set(names), set(names)), READY_S, f"votes of {names}")

    def stop(self):
        for member in self.started:
            if member.process and member.process.popen.poll() is None:
                member.process.kill()
