"""How long a cluster without its leader takes no writes: `kill -9` of the leader, again and again, and the time until a write that was asked for after it is
acknowledged by another node. Three nodes on this machine.

    QUORATE_BIN=target/release/quorate .venv/bin/python tests/failover.py --kills 100
    QUORATE_BIN=target/release/quorate .venv/bin/python tests/failover.py --kills 100 --heartbeat-ms 300 --election-ms 1000
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from support.admin import Admin, Refused
from support.nodes import Town
from support.wait import eventually

NAMES = ("a", "b", "c")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--heartbeat-ms", type=int, default=100)
    parser.add_argument("--election-ms", type=int, default=300)
    parser.add_argument("--p99-max-ms", type=float, help="exit 1 if it took longer")
    return parser.parse_args()


def found(town, asked):
    cluster = {"heartbeat_ms": asked.heartbeat_ms, "election_ms": asked.election_ms}
    # At least five elections long: docs/configuration.md.
    limits = f"[limits]\nrevocation_bound_ms = {max(2_000, 6 * asked.election_ms)}"
    for name in NAMES:
        town.come(name, cluster=cluster, objects=limits)
    town.wait_for_voters(*NAMES)


def leader(town):
    def agreed():
        led = {Admin(member.admin_url, town.token).status()["leader"] for member in town.members.values()}
        nodes = {node["id"]: node["name"] for node in town.admin.items("/nodes")}
        return len(led) == 1 and nodes.get(led.pop())

    return town.members[eventually(agreed, 60, "one leader")]


def write(admin, number):
    """Returns when a change is acknowledged that was asked for now."""
    while True:
        try:
            return admin.call("PUT", "/users/writer", {"name": "writer", "description": f"write {number}"})
        except Refused:
            time.sleep(0.005)


def kill_once(town, number):
    old = leader(town)
    others = [member for member in town.members.values() if member is not old]
    admin = Admin(others[number % len(others)].admin_url, town.token)
    admin.status()
    old.process.kill()
    began = time.monotonic()
    write(admin, number)
    took = time.monotonic() - began
    old.start().wait()
    return took * 1_000


def main():
    asked = arguments()
    with tempfile.TemporaryDirectory() as folder:
        town = Town(Path(folder))
        try:
            found(town, asked)
            took = sorted(kill_once(town, number) for number in range(asked.kills))
        finally:
            town.stop()
    p99 = took[min(len(took) - 1, int(len(took) * 0.99))]
    print(
        f"{asked.kills} kills of the leader, heartbeat {asked.heartbeat_ms} ms, election {asked.election_ms} ms: first new write "
        f"after {took[0]:.0f} ms at best, {statistics.median(took):.0f} ms in the median, {p99:.0f} ms p99, {took[-1]:.0f} ms at worst"
    )
    return int(asked.p99_max_ms is not None and p99 > asked.p99_max_ms)


if __name__ == "__main__":
    sys.exit(main())
