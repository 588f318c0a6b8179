"""A node leaves its work while its process goes on: nobody's request fails, nothing of a budget stays behind, and it can be called back."""

import json
import threading
import time

import httpx
import pytest

from support.command import done, quorate, shown
from support.wait import eventually

MESSAGES = [{"role": "user", "content": "hello"}]


def state(cluster, node):
    return cluster.admin.get(f"/nodes/node-{node.id}")["standing"]["state"]


def ask(node, key, model="chat"):
    body = {"model": model, "messages": MESSAGES}
    headers = {"authorization": f"Bearer {key['secret']}"}
    return httpx.post(f"{node.client_url}/v1/chat/completions", json=body, headers=headers, timeout=20)


def follow(node, key, model):
    """Reads a stream: its pieces so far, and who reads it."""
    pieces = []

    def read():
        stream = node.sdk(key).chat.completions.create(model=model, messages=MESSAGES, max_tokens=40, stream=True)
        pieces.extend(chunk for chunk in stream if chunk.choices and chunk.choices[0].delta.content)

    reader = threading.Thread(target=read)
    reader.start()
    return pieces, reader


def outstanding(cluster, node, key):
    explained = cluster.admin.explain(cluster.admin.budget_of(key))
    return sum(held["outstanding"] for held in explained["holdings"] if held["node"] == node.id)


@pytest.mark.timeout(120)
def test_a_drain_lets_requests_end_returns_grants_and_can_be_taken_back(cluster):
    cluster.serve("chat")
    cluster.serve("long")
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": 1_000_000}])
    node = cluster.leader()
    cluster.provider.behave(chunks=40, completion_tokens=40, chunk_delay_ms=100)
    pieces, reader = follow(node, key, "long")
    eventually(lambda: len(pieces) > 2, what="a stream that is under way")
    drained = quorate(cluster, "node", "drain", f"node-{node.id}", "--yes", "-m", "kernel patch")
    assert drained.returncode == 0, drained.stderr
    for step in ("unready, waiting for load balancers", "1 request left", "DRAINED"):
        assert step in drained.stderr, drained.stderr
    reader.join(10)
    assert len(pieces) == 40, "the stream was read to its end before the node had drained"
    assert outstanding(cluster, node, key) == 0
    assert cluster.leader() is not node
    assert not node.is_ready() and ask(node, key).json()["error"]["code"] == "not_ready"
    (event, *_) = shown(cluster, "cluster", "events")
    assert event["kind"] == "drained"
    status = quorate(cluster, "cluster", "status")
    assert status.returncode == 0 and "\"kernel patch\": it can be stopped" in status.stderr
    assert "it is so already" in quorate(cluster, "node", "drain", f"node-{node.id}", "--yes").stderr

    done(cluster, "node", "undrain", f"node-{node.id}", "--yes")
    node.wait_until_ready()
    assert ask(node, key).status_code == 200


@pytest.mark.timeout(120)
def test_a_drain_that_takes_longer_than_its_deadline_goes_on_and_can_be_undone(cluster):
    cluster.serve("slow")
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": 1_000_000}])
    node = cluster.followers()[0]
    cluster.provider.behave(chunks=40, completion_tokens=40, chunk_delay_ms=400)
    pieces, reader = follow(node, key, "slow")
    eventually(lambda: len(pieces) > 2, what="a stream that is under way")
    late = quorate(cluster, "node", "drain", f"node-{node.id}", "--yes", "--deadline", "1s")
    assert late.returncode == 6 and "the drain goes on" in late.stderr, late.stderr
    assert state(cluster, node) == "draining"
    done(cluster, "node", "undrain", f"node-{node.id}", "--yes")
    node.wait_until_ready()
    reader.join(30)
    assert len(pieces) == 40
    assert state(cluster, node) == "serving"


@pytest.mark.timeout(120)
def test_the_node_at_an_address_drains_itself_and_its_process_ends_at_once_when_told(own_cluster):
    """What a preStop hook does; the next start serves."""
    own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "tokens", "limit": 1_000_000}])
    node = own_cluster.nodes[2]
    assert ask(node, key).status_code == 200
    words = ["node", "drain", "--self", "--deadline", "30s", "--server", node.admin_url]
    refused = quorate(own_cluster, *words)
    assert refused.returncode == 2 and "--yes" in refused.stderr, "nobody can be asked here"
    done(own_cluster, *words, "--yes")
    began = time.monotonic()
    node.terminate()
    assert time.monotonic() - began < 1.4, "it does not wait for load balancers once more"
    node.start_again()
    node.wait_until_ready()
    eventually(lambda: state(own_cluster, node) == "serving", what="a drain that is over")
    assert ask(node, key).status_code == 200


@pytest.mark.timeout(120)
def test_a_second_node_is_not_drained_while_another_is_down(own_cluster):
    own_cluster.nodes[2].kill()
    eventually(lambda: own_cluster.admin.get("/nodes/node-3")["is_reachable"] is False, 20, "a node that is missed")
    planned = quorate(own_cluster, "node", "drain", "node-2", "--dry-run", "-o", "json")
    assert planned.returncode == 7 and json.loads(planned.stdout)["plan"]["is_refused"]
    refused = quorate(own_cluster, "node", "drain", "node-2", "--yes")
    assert refused.returncode == 7 and "start or replace node-3 first" in refused.stderr, refused.stderr
    assert state(own_cluster, own_cluster.nodes[1]) == "serving"
    status = quorate(own_cluster, "cluster", "status", "-o", "json")
    assert status.returncode == 12 and json.loads(status.stdout)["verdict"] == "unsafe"
    assert "quorate node replace node-3" in status.stderr
    own_cluster.nodes[1].kill()
    status = eventually(
        lambda: (s := quorate(own_cluster, "cluster", "status")).returncode == 11 and s, 30, "a cluster without a quorum"
    )
    assert "1/3 voters reachable (need 2) · missing node-2, node-3" in status.stdout
