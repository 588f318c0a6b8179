"""All nodes die at once, at work. What was acknowledged is there when they are back, and the ledger covers the bill."""

import asyncio
import collections
import contextlib
import itertools

import httpx
import openai
import pytest

from support.admin import PATHS, Refused
from support.command import done
from support.doubt import dead_holding, holds_some, lose
from support.load import drain, one
from support.processes import is_alive
from support.wait import eventually

MESSAGES = [{"role": "user", "content": "hello"}]


LIMIT = 300
# So many are served before the nodes die, with more under way.
SERVED_MIN = 60
# What is spent of a budget goes on changing; what was ordered does not.
ORDERED = ("id", "subject", "unit", "window", "limit")


async def ask_until_dead(node, key, ends):
    """One request after the other; notes how each ended."""
    client = node.async_sdk(key)
    while is_alive(node.pid):
        ends.append(await one(client, "chat"))


def change_until_dead(admin, made):
    """Creates a user, a key of theirs with a budget, revokes every other key, and notes what was acknowledged."""
    with contextlib.suppress(Refused, httpx.HTTPError):
        for number in itertools.count():
            user = {"name": f"user-{number}"}
            made["/users"].append(admin.call("POST", "/users", user))
            fields = {"owner": {"user": user["name"]}, "budgets": [{"unit": "tokens", "limit": number + 1}]}
            key = admin.key(label=f"key {number}", **fields)
            made["/keys"].append(key)
            if number % 2:
                admin.revoke(key)
                made["revoked"].append(key)


def ordered(path, items):
    """Objects as they were ordered, by what names them."""
    if path == "/budgets":
        items = [{field: item[field] for field in ORDERED} for item in items]
    return {item.get("id", item.get("name")): item for item in items}


def check_objects(node, before, made):
    """A node has everything that was there before the load, and everything that was acknowledged during it."""
    after = {path: ordered(path, node.admin.items(path)) for path in PATHS}
    for path, items in [*before.items(), ("/users", ordered("/users", made["/users"]))]:
        assert items.items() <= after[path].items(), f"{path} on node {node.id}"
    limits = {budget["subject"]: budget["limit"] for budget in after["/budgets"].values()}
    for key in made["/keys"]:
        found = after["/keys"][key["id"]]
        assert (found["label"], found["owner"]) == (key["label"], key["owner"]), f"node {node.id}"
        assert limits[f"key:{key['id']}"] == int(key["label"].split()[1]) + 1, f"node {node.id}"
    for key in made["revoked"]:
        assert after["/keys"][key["id"]]["state"] == "revoked", f"node {node.id}"
        with pytest.raises(openai.AuthenticationError):
            node.sdk(key).chat.completions.create(model="chat", messages=MESSAGES)


@pytest.mark.timeout(240)
def test_what_was_acknowledged_survives_the_death_of_all_nodes_at_work(own_cluster):
    admin = own_cluster.admin
    model = own_cluster.serve("chat")
    admin.call("POST", "/organisations", {"name": "acme"})
    admin.call("POST", "/teams", {"name": "search", "organisation": "acme"})
    kept = admin.key(label="kept", owner={"team": "search"}, budgets=[{"unit": "requests", "limit": LIMIT}])
    before = {path: ordered(path, admin.items(path)) for path in PATHS}
    own_cluster.provider.behave(latency_ms=20)
    ends, made = [], collections.defaultdict(list)

    async def story():
        clients = [ask_until_dead(node, kept, ends) for node in own_cluster.nodes for _ in range(3)]
        changes = asyncio.to_thread(change_until_dead, own_cluster.leader().admin, made)
        under_way = asyncio.gather(changes, *clients)
        is_busy = lambda: ends.count("ok") >= SERVED_MIN and len(made["revoked"]) > 2  # noqa: E731
        await asyncio.to_thread(eventually, is_busy, 30, "a busy cluster")
        await asyncio.to_thread(own_cluster.kill_all)
        await under_way

    asyncio.run(story())
    assert set(ends) == {"ok", "broken"}, "requests were under way"
    own_cluster.start_all_again()
    own_cluster.leader()

    for node in own_cluster.nodes:
        check_objects(node, before, made)

    own_cluster.provider.wait_until_idle()
    billed = len(own_cluster.provider.entries(model))
    assert billed >= ends.count("ok")

    def settled():
        explained = admin.explain(admin.budget_of(kept))
        return explained["in_doubt"] == 0 and explained["used"] >= billed and explained

    explained = eventually(settled, 30, "a ledger without doubt that covers the bill")
    assert explained["used"] - billed <= explained["crash_charged"], f"G4: {billed} billed, {explained}"
    asyncio.run(drain(own_cluster.nodes, kept, "chat"))
    own_cluster.provider.wait_until_idle()
    billed = len(own_cluster.provider.entries(model))
    assert LIMIT - explained["crash_charged"] <= billed <= LIMIT, f"G4: {billed} billed, {explained}"


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


@pytest.mark.timeout(240)
def test_a_node_whose_disk_is_lost_takes_its_old_place_under_a_new_id(own_cluster):
    """As docs/configuration.md says; what it held is freed by an operator's word."""
    own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": LIMIT}])
    other, lost = own_cluster.nodes[0], own_cluster.nodes[2]
    budget = holds_some(own_cluster, lost, key)
    (held,) = other.admin.explain(budget)["holdings"]
    lose(own_cluster, lost, "data")

    def voters():
        return {member["node"] for member in other.admin.status()["members"] if member["is_voter"]}

    eventually(lambda: voters() == {1, 2, 4}, 30, "a vote for the new node, in the place of the dead one")
    assert {node["id"] for node in other.admin.items("/nodes")} == {1, 2, 4}
    assert asyncio.run(one(lost.async_sdk(key), "chat")) == "ok"
    done(own_cluster, "cluster", "expire", held["session"], "-m", "its disk is lost")
    assert dead_holding(own_cluster, budget)["session"] == held["session"]
    own_cluster.nodes[1].kill()
    assert other.admin.key(label="two of three agree")["id"]
