"""What dead nodes may have spent: shown to operators, resolved by their word or by a rule, and never before."""

import asyncio
import json
import shutil

import pytest

from support.command import done, quorate
from support.doubt import MESSAGES, dead_holding, holds_some, lose_journal
from support.load import drain, one
from support.wait import eventually

LIMIT = 40


def log_lines(cluster, message):
    texts = [log.read_text() for log in cluster.folder.glob("data/node-*/log.jsonl")]
    lines = [json.loads(line) for text in texts for line in text.splitlines() if line.startswith("{")]
    return [line["fields"] if "fields" in line else line for line in lines if message in json.dumps(line)]


@pytest.mark.timeout(240)
def test_doubt_is_shown_and_resolved_by_an_operator_and_then_spent_by_others(own_cluster):
    own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": LIMIT}])
    node, other = own_cluster.nodes[2], own_cluster.nodes[0]
    budget = holds_some(own_cluster, node, key)
    live = own_cluster.admin.explain(budget)["holdings"][0]
    alive = quorate(own_cluster, "budget", "resolve", budget["id"], "--session", live["session"], "--spent", 1, "-m", "no")
    assert alive.returncode == 7 and "is alive" in alive.stderr
    lose_journal(own_cluster, node)
    dead = dead_holding(own_cluster, budget)
    assert (dead["node"], dead["session"], dead["used"]) == (node.id, live["session"], 1)
    most = dead["spent_at_most"]
    assert most == dead["used"] + dead["outstanding"] and dead["since"].startswith("20")
    shown = done(own_cluster, "budget", "explain", budget["id"])
    assert "in_doubt" in shown and "until it is resolved" in shown

    resolve = ["budget", "resolve", budget["id"], "--session", dead["session"], "--spent"]
    silent = quorate(own_cluster, *resolve, 1)
    assert silent.returncode == 2 and "say why" in silent.stderr
    for spent in (0, most + 1):
        refused = quorate(own_cluster, *resolve, spent, "-m", "guessed")
        assert refused.returncode == 7 and f"from 1 to {most}" in refused.stderr, refused.stderr
    for _ in ("the first time", "a retry"):
        shown = done(own_cluster, *resolve, 2, "-m", "the bill says so")
        assert "the bill says so" in shown
    (admin_key,) = [key for key in own_cluster.admin.items("/keys") if key["role"] == "admin"]
    for asked in own_cluster.nodes:
        explained = asked.admin.explain(budget)
        assert (explained["in_doubt"], explained["used"]) == (0, 2)
        (resolution,) = explained["resolutions"]
        assert (resolution["spent"], resolution["released"]) == (2, most - 2)
        assert (resolution["actor"], resolution["reason"]) == (f"key:{admin_key['id']}", "the bill says so")
    (first, *_) = log_lines(own_cluster, "resolve budget")
    assert (first["reason"], first["admin_key"]) == ("the bill says so", admin_key["id"])
    unknown = quorate(own_cluster, *resolve, 3, "-m", "again")
    assert unknown.returncode == 3, unknown.stderr

    asyncio.run(drain([other], key, "chat"))
    explained = eventually(lambda: (e := own_cluster.admin.explain(budget))["used"] == LIMIT and e, 30, "all spent")
    # One request was made before the node died, and the operator said two.
    assert len(own_cluster.provider.entries("chat-0")) == LIMIT - 1, explained


@pytest.mark.timeout(240)
def test_doubt_of_a_lifetime_budget_is_resolved_by_its_rule_and_of_a_window_by_nobody(own_cluster):
    own_cluster.serve("chat")
    team = {"organisation": "acme", "team": "search"}
    own_cluster.admin.call("POST", "/organisations", {"name": "acme"})
    own_cluster.admin.call("POST", "/teams", {"name": "search", "organisation": "acme"})
    key = own_cluster.admin.key(owner=team, budgets=[{"unit": "requests", "limit": LIMIT}])
    windowed = own_cluster.admin.call(
        "POST", "/budgets", {"subject": "org:acme", "unit": "requests", "window": "month", "limit": LIMIT}
    )
    reported = own_cluster.admin.call("POST", "/budgets", {"subject": "team:search", "unit": "requests", "limit": LIMIT})
    node = own_cluster.nodes[2]
    budget = holds_some(own_cluster, node, key)
    done(own_cluster, "budget", "set", budget["id"], "--auto-resolve", "as-spent=3s")
    done(own_cluster, "budget", "set", reported["id"], "--auto-resolve", "as-reported-may-overspend=3s")
    lose_journal(own_cluster, node)

    def resolved(of):
        explained = own_cluster.admin.explain(of)
        return explained["in_doubt"] == 0 and explained["resolutions"] and explained

    taken = eventually(lambda: resolved(budget), 30, "a resolution by rule")
    (resolution,) = taken["resolutions"]
    assert resolution["actor"] == "rule" and resolution["reason"] == "auto_resolve as_spent after 3000 ms"
    assert resolution["released"] == 0 and taken["used"] == resolution["spent"] > 1
    given_back = eventually(lambda: resolved(reported), 30, "a resolution by the dangerous rule")
    (resolution,) = given_back["resolutions"]
    assert (given_back["used"], resolution["spent"]) == (1, 1) and resolution["released"] > 0
    stays = own_cluster.admin.explain(windowed)
    (dead,) = [held for held in stays["holdings"] if held["state"] == "in_doubt"]
    assert stays["in_doubt"] > 0 and stays["resolutions"] == [] and dead["doubt_ends"] == stays["window_end"]
    # Not in a loop: each was written down once, by whoever led.
    told = log_lines(own_cluster, "doubt resolved by rule")
    assert sorted(line["budget"] for line in told) == sorted([budget["id"], reported["id"]])


@pytest.mark.timeout(240)
def test_the_grants_of_a_node_that_will_not_come_back_are_declared_dead_and_resolved(own_cluster):
    own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": LIMIT}])
    node = own_cluster.nodes[2]
    budget = holds_some(own_cluster, node, key)
    node.kill()
    (held,) = own_cluster.admin.explain(budget)["holdings"]
    done(own_cluster, "cluster", "expire", held["session"], "-m", "the machine burnt")
    dead = dead_holding(own_cluster, budget)
    done(own_cluster, "budget", "resolve", budget["id"], "--all-as-spent", "-m", "the machine burnt")
    explained = own_cluster.admin.explain(budget)
    assert (explained["used"], explained["in_doubt"]) == (dead["spent_at_most"], 0)
    assert explained["free"] == LIMIT - dead["spent_at_most"] == LIMIT - explained["spent_at_most"]


@pytest.mark.timeout(240)
def test_an_old_copy_of_a_journal_is_not_believed_and_what_was_spent_after_it_was_made_stays_counted(own_cluster):
    """Somebody restores a backup. By the copy, nothing was spent; the provider has billed ten requests since."""
    model = own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": LIMIT}])
    node, other = own_cluster.nodes[2], own_cluster.nodes[0]
    journal = own_cluster.folder / "data" / f"node-{node.id}" / "data" / "journal"
    copy = own_cluster.folder / "copy-of-the-journal"
    node.kill()
    shutil.copytree(journal, copy)
    node.start_again()
    node.wait_until_ready()
    for _ in range(9):
        assert node.sdk(key).chat.completions.create(model="chat", messages=MESSAGES).choices
    budget = own_cluster.admin.budget_of(key)
    eventually(lambda: own_cluster.admin.explain(budget)["used"] == 9, what="nine in the ledger")
    node.kill()
    shutil.rmtree(journal)
    shutil.copytree(copy, journal)
    node.start_again()
    node.wait_until_ready()
    dead = dead_holding(own_cluster, budget)
    assert (dead["node"], dead["used"]) == (node.id, 9)
    told = (own_cluster.folder / f"restarted-node-{node.id}.log").read_text()
    assert "the disk of this node is older than what the node has said" in told + str(log_lines(own_cluster, "is older than"))
    # It goes on as a node whose disk is as the ledger knows it: its next death leaves no doubt.
    assert node.sdk(key).chat.completions.create(model="chat", messages=MESSAGES).choices
    eventually(lambda: own_cluster.admin.explain(budget)["used"] == 10, what="ten in the ledger")
    node.kill()
    node.start_again()
    node.wait_until_ready()
    assert own_cluster.admin.explain(budget)["in_doubt"] == dead["outstanding"]
    asyncio.run(drain([node, other], key, "chat", spent="429 budget_in_doubt"))
    charged = own_cluster.admin.explain(budget)["crash_charged"]
    assert len(own_cluster.provider.entries(model)) + charged == LIMIT - dead["outstanding"]


def test_explain_shows_what_requests_under_way_have_reserved_on_the_node_that_is_asked(cluster):
    """What is granted is more: some is kept for the next requests."""
    cluster.serve("reserving")
    cluster.provider.behave(latency_ms=3_000)
    key, node = cluster.admin.key(budgets=[{"unit": "requests", "limit": 1_000}]), cluster.nodes[0]
    budget = cluster.admin.budget_of(key)

    def reserved(by):
        return [holding["reserved"] for holding in by.admin.explain(budget)["holdings"] if holding["node"] == node.id]

    async def three_at_once():
        async with node.async_sdk(key) as sdk:
            calls = [asyncio.create_task(one(sdk, "reserving", max_tokens=16)) for _ in range(3)]
            shown = await asyncio.to_thread(eventually, lambda: reserved(node) == [3], 3, "three reservations")
            return shown, await asyncio.to_thread(reserved, cluster.nodes[1]), await asyncio.gather(*calls)

    assert asyncio.run(three_at_once()) == (True, [None], ["ok"] * 3)
    eventually(lambda: reserved(node) == [0], what="nothing reserved any more")
    assert "RESERVED" in done(cluster, "budget", "explain", budget["id"])
