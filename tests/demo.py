"""`make demo`: a budget spent to the last request over three nodes, with the leader killed on the way.

Needs nothing but Python. Leaves the cluster running; `make demo-stop` ends it.
"""

import json
import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from support.processes import Process, Remembered, binary, is_alive, kill_and_wait
from support.wait import eventually

FOLDER = Path(__file__).resolve().parents[1] / "data" / "demo"
PID_FILE = FOLDER / "pids.json"
LIMIT = 100
KILL_AFTER = 40
# A few requests while nobody leads: the grants that the others hold are small, as the budget is.
ASK_MEANWHILE = 8
# Far more than the budget: something is wrong if the nodes still do not refuse.
REQUESTS_MAX = 20 * LIMIT
# Neither served nor refused: a few may be while the cluster settles down.
UNANSWERED_MAX = 10
START_S = 60


def say(text=""):
    print(text, flush=True)


def step(text):
    say(f"\n==> {text}")


def parsed(text):
    """JSON, or the text itself: probes answer with a word."""
    try:
        return json.loads(text or b"null")
    except ValueError:
        return text.decode()


def call(url, body=None, token=None, method=None):
    """Sends JSON; returns status and answer. A connection that breaks is status 0."""
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    payload = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, payload, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, parsed(answer.read())
    except urllib.error.HTTPError as refusal:
        return refusal.code, parsed(refusal.read())
    except OSError:
        return 0, None


class Broken(Exception):
    """What the demo is to show is not so."""


def check(holds, text):
    """Says that something holds; ends the demo if it does not."""
    say(f"    {'holds' if holds else 'FAILS'}: {text}")
    if not holds:
        raise Broken(text)


class Demo:
    """The cluster of the demo, and what became of the requests."""

    def __init__(self, ready):
        self.token = ready["admin_token"]
        self.nodes = {node["id"]: node for node in ready["nodes"]}
        self.provider = ready["fake_provider_url"]
        self.own_pids = []

    def running(self):
        return [node for node in self.nodes.values() if is_alive(node["pid"])]

    def admin(self, path, body=None, node=None):
        node = node or self.running()[0]
        status, answer = call(f"{node['admin_url']}/admin/v1{path}", body, self.token)
        if not 200 <= status < 300:
            raise OSError(f"{path}: {status} {answer}")
        return answer

    def leader(self):
        def known():
            leaders = {self.admin("/cluster", node=node)["leader"] for node in self.running()}
            (leader,) = leaders if len(leaders) == 1 else (None,)
            return self.nodes.get(leader) if leader and is_alive(self.nodes[leader]["pid"]) else None

        return eventually(known, 30, "a leader that every node knows")

    def create_key(self):
        spec = {"name": "demo-provider", "base_url": f"{self.provider}/v1"}
        model = {
            "name": "demo-model",
            "provider": "demo-provider",
            "upstream_model": "demo-model",
            "price": {"input": "0.15", "output": "0.60"},
            "context_tokens": 128_000,
            "output_tokens_max": 4_096,
        }
        route = {"name": "demo", "targets": [{"model": "demo-model"}]}
        self.admin("/apply", {"providers": [spec], "models": [model], "routes": [route]})
        return self.admin("/keys", {"label": "demo", "budgets": [{"unit": "requests", "limit": LIMIT}]})

    def ask(self, node, key, number):
        body = {"model": "demo", "messages": [{"role": "user", "content": f"Request {number}: what is a quorum?"}]}
        return call(f"{node['client_url']}/v1/chat/completions", body, key["secret"])[0]

    def spend(self, key, kill=True):
        """Sends requests through all nodes in turn until each that runs refuses. May kill the leader on the way."""
        served = {node: 0 for node in self.nodes}
        refused, number, killed, unanswered = set(), 0, None, 0
        while refused < {node["id"] for node in self.running()} and number < REQUESTS_MAX:
            for node in self.running():
                number += 1
                status = self.ask(node, key, number)
                if status == 200:
                    served[node["id"]] += 1
                    refused.clear()
                elif status == 429:
                    refused.add(node["id"])
                else:
                    unanswered += 1
                    say(f"    request {number} to node {node['id']} ended with status {status}")
                    if unanswered > UNANSWERED_MAX:
                        raise Broken(f"{unanswered} requests were neither served nor refused")
            if kill and killed is None and sum(served.values()) >= KILL_AFTER:
                killed = self.kill_leader(key, served)
        check(number < REQUESTS_MAX, f"every node that runs refuses, after {number} requests")
        return served, killed

    def kill_leader(self, key, served):
        """Kills it, and goes on asking the others until one of them leads."""
        leader = self.leader()
        total = sum(served.values())
        step(f"{total} requests are served; `kill -9` of the leader, node {leader['id']} (process {leader['pid']})")
        remembered = Remembered(leader["pid"])
        kill_and_wait(leader["pid"])
        start, asked, answered, new = time.monotonic(), 0, 0, None
        while new is None and time.monotonic() - start < START_S:
            for node in self.running() if asked < ASK_MEANWHILE else []:
                asked += 1
                if self.ask(node, key, asked) == 200:
                    answered += 1
                    served[node["id"]] += 1
            known = {self.admin("/cluster", node=node)["leader"] for node in self.running()} - {leader["id"], None}
            new = known.pop() if len(known) == 1 else None
        say(f"    without a leader {answered} of {asked} requests were served, from grants that the others hold")
        say(f"    node {new} leads after {time.monotonic() - start:.1f} s")
        check(new is not None, "a node that runs leads")
        return leader, remembered

    def start_again(self, killed):
        node, remembered = killed
        process = remembered.start(FOLDER / f"restarted-node-{node['id']}.log")
        node["pid"] = process.pid
        self.own_pids.append(process.pid)
        eventually(lambda: call(f"{node['admin_url']}/readyz")[0] == 200, START_S, f"a ready node {node['id']}")


def start():
    stop()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    ready_file = FOLDER / "ready.json"
    command = [binary("quorate", "QUORATE_BIN"), "dev", "--nodes", "3"]
    command += ["--data-dir", str(FOLDER / "data"), "--ready-file", str(ready_file)]
    process = Process(command, FOLDER / "dev.log")
    PID_FILE.write_text(json.dumps([process.pid]))
    eventually(lambda: process.check_alive() or ready_file.exists(), START_S, "the cluster")
    return process, Demo(json.loads(ready_file.read_text()))


def stop():
    """Ends the cluster of an earlier demo: only processes that this demo started."""
    if not PID_FILE.exists():
        return
    for pid in reversed(json.loads(PID_FILE.read_text())):
        if is_alive(pid) and str(FOLDER) in Path(f"/proc/{pid}/cmdline").read_text():
            os.killpg(pid, signal.SIGTERM)
            eventually(lambda pid=pid: not is_alive(pid), 20, f"the end of process {pid}")
    PID_FILE.unlink()


def settled(demo, key):
    (budget,) = demo.admin(f"/budgets?subject=key:{key['id']}")["items"]
    explained = demo.admin(f"/budgets/{budget['id']}/explain")
    return explained if explained["in_doubt"] == 0 else None


def accounts(demo, key, served):
    """The ledger against the provider's bill, and against itself."""
    billed = lambda: len(call(f"{demo.provider}/_bill")[1]["entries"])  # noqa: E731
    ledger = eventually(lambda: (e := settled(demo, key)) and e["used"] >= billed() and e, 30, "a settled ledger")
    bill = billed()
    used, crash_charged = ledger["used"], ledger["crash_charged"]
    rest = ledger["granted"] + ledger["free"]
    say(f"    served to clients       {served:>6} requests")
    say(f"    the provider's bill     {bill:>6} requests")
    say(f"    the ledger: spent       {used:>6} requests")
    say(f"      of which for the crash{used - bill:>6} requests that the dead node may have sent")
    say(f"    the ledger: held, free  {rest:>6} requests")
    say(f"    the budget              {LIMIT:>6} requests")
    check(served <= bill <= LIMIT, "what was served was billed, and no more was billed than the budget")
    check(0 <= used - bill <= crash_charged, f"what was spent was billed, but for {crash_charged} at most charged for the crash")
    check(used + rest + ledger["overrun"] == LIMIT == ledger["limit"], "spent, held, free and overrun are the budget")
    check(ledger["overrun"] == ledger["free"] == 0, "nothing is left, and nothing was overrun")


def tell_served(served):
    shares = ", ".join(f"node {node}: {count}" for node, count in served.items())
    say(f"    served {sum(served.values())} requests ({shares})")


def main():
    step("starting three nodes and a fake provider that keeps its own bill")
    process, demo = start()
    leader = demo.leader()
    for node in demo.nodes.values():
        role = "leads" if node is leader else "follows"
        say(f"    node {node['id']} {role:<8} clients {node['client_url']}   admin {node['admin_url']}")

    key = demo.create_key()
    step(f"key {key['id']} may send {LIMIT} requests, through whichever node")
    served, killed = demo.spend(key)
    step("every node that runs answers 429")
    tell_served(served)
    check(killed is not None and not is_alive(killed[1].pid), "the node that led has been killed on the way")
    say(f"    what is missing of {LIMIT} is with the dead node, until it says what it has sent")
    step(f"node {killed[0]['id']} starts again, on its own disk, and returns what it has not spent")
    demo.start_again(killed)
    PID_FILE.write_text(json.dumps([process.pid, *demo.own_pids]))
    more, _ = demo.spend(key, kill=False)
    served = {node: served[node] + more[node] for node in served}
    tell_served(served)

    step("the ledger against the provider's bill")
    accounts(demo, key, sum(served.values()))
    say("    exact.")

    url = next(iter(demo.nodes.values()))
    fresh = demo.admin("/keys", {"label": "for you"})
    step("the cluster keeps running; try it (stop it with `make demo-stop`)")
    say(f"""
    curl {url['client_url']}/v1/chat/completions \\
      -H 'authorization: Bearer {fresh['secret']}' -H 'content-type: application/json' \\
      -d '{{"model": "demo", "messages": [{{"role": "user", "content": "hello"}}]}}'

    curl {url['admin_url']}/admin/v1/cluster -H 'authorization: Bearer {demo.token}'
""")


if __name__ == "__main__":
    if sys.argv[1:] == ["stop"]:
        stop()
        sys.exit()
    try:
        main()
    except Broken as broken:
        sys.exit(f"THIS IS A BUG: {broken}. The cluster keeps running; `make demo-stop` ends it.")
