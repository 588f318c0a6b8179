"""HAProxy with the configuration that `cluster/haproxy` ships, in front of a cluster's nodes."""

import csv
import io
import re
import shutil
from pathlib import Path

import httpx

from support.processes import Process, free_ports
from support.wait import eventually

SHIPPED = Path(__file__).resolve().parents[2] / "cluster/haproxy/haproxy.cfg"
SHIPPED_CHECK = "check inter 300ms fall 3 rise 2"
# What HAProxy does if nobody says how often it should ask.
DEFAULT_CHECK = "check"
# Only the test looks at it.
STATISTICS = "\nfrontend statistics\n    bind {}\n    stats enable\n    stats uri /\n"
SERVER = re.compile(r"(?m)^( +server node-(\d+)) \S+ addr \S+ port \d+")


class HaProxy:
    """One process of it. It tries nothing twice: whatever a node does to a client is seen."""

    def __init__(self, folder, nodes, check=SHIPPED_CHECK):
        program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            raise FileNotFoundError("haproxy is missing: `make test-end-to-end` installs it on Debian")
        self.address, statistics = (f"127.0.0.1:{port}" for port in free_ports(2))
        self.url = f"http://{self.address}"
        self._statistics = f"http://{statistics}/;csv"
        path = folder / "haproxy.cfg"
        path.write_text(configuration(nodes, self.address, check) + STATISTICS.format(statistics))
        self.process = Process([program, "-db", "-f", str(path)], folder / "haproxy.log")
        try:
            eventually(lambda: self.process.check_alive() or self._all_up(), 20, "three nodes that HAProxy calls up")
        except BaseException:
            self.process.kill()
            raise

    def servers(self):
        """What HAProxy thinks of each node: its rows of statistics by the name of the server."""
        text = httpx.get(self._statistics, timeout=5).text.removeprefix("# ")
        rows = csv.DictReader(io.StringIO(text))
        return {row["svname"]: row for row in rows if row["pxname"] == "nodes" and row["svname"].startswith("node-")}

    def status(self, name):
        return self.servers()[name]["status"]

    def _all_up(self):
        try:
            return all(row["status"] == "UP" for row in self.servers().values())
        except httpx.HTTPError:
            return False


def configuration(nodes, address, check):
    """What is shipped, with the addresses of these nodes, and without the second try that would hide a closed door."""

    def located(match):
        node = nodes[int(match[2]) - 1]
        admin, port = node.admin_url.removeprefix("http://").split(":")
        return f"{match[1]} {node.client_url.removeprefix('http://')} addr {admin} port {port}"

    text, count = SERVER.subn(located, SHIPPED.read_text())
    assert count == len(nodes), f"{SHIPPED} names {count} nodes"
    for shipped, ours in (
        ("bind 0.0.0.0:80", f"bind {address}"),
        ("option redispatch 1", "retries 0"),
        (f"default-server {SHIPPED_CHECK}", f"default-server {check}"),
    ):
        assert shipped in text, f"{SHIPPED} says {shipped!r} no more"
        text = text.replace(shipped, ours)
    return text
