"""Nodes that hold some of a budget and die: what they may have spent is in doubt."""

import shutil

from support.wait import eventually

MESSAGES = [{"role": "user", "content": "hello"}]


def holds_some(cluster, node, key, model="chat"):
    """The budget, once the node has served one request of the key, has said so, and holds more than that."""
    assert node.sdk(key).chat.completions.create(model=model, messages=MESSAGES).choices
    budget = cluster.admin.budget_of(key)

    def held():
        explained = cluster.admin.explain(budget)
        return explained["granted"] > 1 and explained["used"] == 1

    eventually(held, what="a grant with something left")
    return budget


def lose(cluster, node, what):
    """The node dies, and comes back without a folder of its own: its journal, or all of its data. Then it
    needs a token, and takes its own old place."""
    other = next(other for other in cluster.nodes if other is not node)
    node.kill()
    if what == "data":
        other.admin.call("POST", f"/nodes/{node.id}/replace", {})
        cluster.folder.joinpath("data/join-token").write_text(other.admin.join_token())
    shutil.rmtree(cluster.folder / "data" / f"node-{node.id}" / what)
    node.start_again()
    node.wait_until_ready()


def lose_journal(cluster, node):
    lose(cluster, node, "data/journal")


def dead_holding(cluster, budget):
    """What is in doubt of a budget, once something is."""

    def found():
        explained = cluster.admin.explain(budget)
        (dead,) = [held for held in explained["holdings"] if held["state"] == "in_doubt"] or [None]
        return dead and explained["in_doubt"] == dead["outstanding"] and dead

    return eventually(found, 30, "something in doubt")
