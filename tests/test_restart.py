"""All nodes die at once. What was acknowledged is there when they are back (I1, I3)."""

import asyncio

import openai
import pytest

from support.load import one
from support.wait import eventually

MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.mark.timeout(240)
def test_keys_routes_budgets_and_spend_survive_the_death_of_all_nodes(own_cluster):
    admin = own_cluster.admin
    model = own_cluster.serve("chat")
    admin.call("POST", "/organisations", {"name": "acme"})
    kept = admin.key(label="kept", budgets=[{"unit": "requests", "limit": 10}])
    revoked = admin.key(label="revoked")
    admin.revoke(revoked)
    for node in own_cluster.nodes:
        assert asyncio.run(one(node.async_sdk(kept), "chat")) == "ok"
    before = {path: admin.items(path) for path in ("/keys", "/routes", "/models", "/providers", "/organisations")}

    for node in own_cluster.nodes:
        node.kill()
    for node in own_cluster.nodes:
        node.start_again()
    for node in own_cluster.nodes:
        node.wait_until_ready()

    own_cluster.leader()
    for node in own_cluster.nodes:
        for path, items in before.items():
            assert node.admin.items(path) == items, f"{path} on node {node.id}"
        with pytest.raises(openai.AuthenticationError):
            node.sdk(revoked).chat.completions.create(model="chat", messages=MESSAGES)

    explained = eventually(
        lambda: (e := admin.explain(admin.budget_of(kept)))["in_doubt"] == 0 and e, 30, "a ledger without doubt"
    )
    assert 3 <= explained["used"] <= 3 + explained["crash_charged"], explained

    ends = [asyncio.run(one(own_cluster.nodes[n % 3].async_sdk(kept), "chat")) for n in range(15)]
    assert "ok" in ends and ends[-1].startswith("429")
    assert len(own_cluster.provider.entries(model)) <= 10


@pytest.mark.timeout(240)
def test_an_orderly_stop_leaves_nothing_in_doubt(own_cluster):
    own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": 10}])
    follower = own_cluster.followers()[0]
    assert asyncio.run(one(follower.async_sdk(key), "chat")) == "ok"
    follower.terminate()
    others = [node for node in own_cluster.nodes if node is not follower]
    admin = others[0].admin

    def settled():
        explained = admin.explain(admin.budget_of(key))
        held = [holding for holding in explained["holdings"] if holding["node"] == follower.id]
        return explained["used"] == 1 and all(holding["outstanding"] == 0 for holding in held)

    eventually(settled, 20, "a ledger to which the stopped node has returned its grants")
