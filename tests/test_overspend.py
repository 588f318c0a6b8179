"""Keys with `without_quorum = "open"`: served on by a node without a majority, whatever it costs; told afterwards, never lost,
never counted twice.
"""

import asyncio
import os
import signal
import time
from contextlib import contextmanager

import openai
import pytest

from support.load import SPENT, one
from support.metrics import metric
from support.wait import eventually

STALE = "503 not_fresh"
NO_SESSION = "503 not_ready"
BOUND_S = 2.0


def ask(node, key, n=1, **fields):
    async def story():
        async with node.async_sdk(key) as sdk:
            return [await one(sdk, "chat", max_tokens=16, **fields) for _ in range(n)]

    return asyncio.run(story())


@contextmanager
def others_stopped(cluster):
    """Nobody but the first node runs; it has all that was agreed on before."""
    survivor, *others = cluster.nodes
    assert ask(survivor, cluster.admin.key()) == ["ok"]
    for node in others:
        os.kill(node.pid, signal.SIGSTOP)
    try:
        yield survivor
    finally:
        for node in others:
            os.kill(node.pid, signal.SIGCONT)


def overspend(admin, key, unit):
    (budget,) = (found for found in admin.items(f"/budgets?subject=key:{key['id']}") if found["unit"] == unit)
    explained = admin.explain(budget)
    return explained["overspend"], explained


@pytest.mark.timeout(240)
def test_an_open_key_is_served_on_without_a_quorum_and_all_of_it_is_told_afterwards(own_cluster):
    own_cluster.serve("chat")
    budgets = [{"unit": "requests", "limit": 12}, {"unit": "tokens", "limit": 1_000_000}]
    key = own_cluster.admin.key(budgets=budgets, without_quorum="open")
    closed = own_cluster.admin.key()
    before = len(own_cluster.provider.entries())
    with others_stopped(own_cluster) as survivor:
        eventually(lambda: ask(survivor, closed) == [STALE], 10, "the end of the lease")
        billed_closed = len(own_cluster.provider.entries()) - before
        assert ask(survivor, key, 20) == ["ok"] * 20, "twelve are allowed, and twenty are served: the key says so"
        assert survivor.is_ready(), "it serves somebody"
        assert metric(survivor, "quorate_requests_overspending_total") >= 8
    billed = own_cluster.provider.entries()[before + billed_closed :]
    assert len(billed) == 20
    admin = own_cluster.nodes[1].admin

    def is_told():
        told, explained = overspend(admin, key, "requests")
        return told + explained["used"] == 20

    eventually(is_told, 20, "the overspend is told")
    tokens, explained = overspend(admin, key, "tokens")
    assert tokens + explained["used"] == sum(e["prompt_tokens"] + e["completion_tokens"] for e in billed)
    assert ask(own_cluster.nodes[1], key) == [SPENT], "what was overspent counts"


@pytest.mark.timeout(240)
def test_what_was_overspent_survives_the_death_of_its_node(own_cluster):
    own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": 1_000}], without_quorum="open")
    closed = own_cluster.admin.key()
    with others_stopped(own_cluster) as survivor:
        eventually(lambda: ask(survivor, closed) == [STALE], 10, "the end of the lease")
        before = len(own_cluster.provider.entries())
        assert ask(survivor, key, 7) == ["ok"] * 7
        assert len(own_cluster.provider.entries()) - before == 7
        survivor.kill()
    survivor.start_again()

    def is_told():
        told, explained = overspend(own_cluster.nodes[2].admin, key, "requests")
        return told == 7 and explained["free"] == 993

    eventually(is_told, 30, "the overspend is told by the next life of the node")


@pytest.mark.timeout(240)
def test_while_a_majority_may_still_be_there_an_open_key_overspends_nothing(own_cluster):
    own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": 3}], without_quorum="open")
    assert sorted(ask(own_cluster.nodes[0], key, 5)) == [SPENT] * 2 + ["ok"] * 3
    other = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": 3}], without_quorum="open")
    with others_stopped(own_cluster) as survivor:
        # Nothing was granted of it: the request waits until it is sure that nobody can be asked.
        assert ask(survivor, other) == ["ok"]
        assert survivor.admin.status()["lease_left_ms"] == 0, "it was not sent before"

    def is_told():
        return overspend(own_cluster.admin, other, "requests")[0] == 1

    eventually(is_told, 20, "the overspend is told")


@pytest.mark.timeout(240)
def test_an_open_key_whose_budget_is_spent_is_served_though_its_node_has_nothing_to_tell(own_cluster):
    """Nothing is granted of what is spent, and all is told: nobody but the request itself has a question."""
    own_cluster.serve("chat")
    spent = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": 2}], without_quorum="open")
    none = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": 0}], without_quorum="open")
    assert sorted(ask(own_cluster.nodes[0], spent, 3)) == [SPENT] + ["ok"] * 2
    eventually(lambda: overspend(own_cluster.admin, spent, "requests")[1]["used"] == 2, what="all is told")
    with others_stopped(own_cluster) as survivor:
        at_once = {"extra_headers": {"x-quorate-max-wait-ms": "0"}}
        assert ask(survivor, none, **at_once) == ["ok"]
        assert ask(survivor, spent, 2) == ["ok"] * 2

    def is_told():
        return [overspend(own_cluster.admin, key, "requests")[0] for key in (none, spent)] == [1, 2]

    eventually(is_told, 20, "the overspend is told")


@pytest.mark.timeout(240)
def test_a_node_that_stood_still_asks_before_it_overspends(own_cluster):
    """Its lease has ended when it goes on, the ledger has not answered what it was asked before, and all others are there."""
    own_cluster.serve("chat")
    own_cluster.provider.behave(latency_ms=15)
    busy = own_cluster.admin.key(budgets=[{"unit": "permits", "limit": 3}, {"unit": "requests", "limit": 100_000}])

    async def while_it_stands_still(node, key):
        async with node.async_sdk(key) as sdk, node.async_sdk(busy) as other:
            work = [asyncio.create_task(keep_busy(other)) for _ in range(20)]
            await asyncio.sleep(0.5)
            os.kill(node.pid, signal.SIGSTOP)
            calls = [asyncio.create_task(one(sdk, "chat", max_tokens=16)) for _ in range(40)]
            # For longer than the revocation bound.
            await asyncio.sleep(3.2)
            os.kill(node.pid, signal.SIGCONT)
            ends = await asyncio.gather(*calls)
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            return ends

    for _ in range(2):
        for node in (own_cluster.leader(), own_cluster.followers()[0]):
            key = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": 3}], without_quorum="open")
            eventually(lambda node=node, key=key: ask(node, key) == [SPENT], what="a budget that is spent")
            ends = asyncio.run(while_it_stands_still(node, key))
            assert set(ends) == {SPENT}, ends
            assert overspend(own_cluster.admin, key, "requests")[0] == 0


async def keep_busy(sdk):
    while True:
        await one(sdk, "chat", max_tokens=16)


@pytest.mark.timeout(240)
def test_in_an_election_an_open_key_waits_for_the_next_leader_and_overspends_nothing(own_cluster):
    own_cluster.serve("chat")
    admin = own_cluster.followers()[0].admin
    keys = [admin.key(budgets=[{"unit": "requests", "limit": 3}], without_quorum="open") for _ in range(8)]
    node = own_cluster.followers()[0]
    for key in keys:
        eventually(lambda key=key: node.admin.get(f"/keys/{key['id']}"), what="a key on the node that is asked")

    async def while_a_leader_is_elected():
        sdks = [node.async_sdk(key) for key in keys]
        calls = [one(sdk, "chat", max_tokens=16, extra_headers={"x-quorate-max-wait-ms": "0"}) for sdk in sdks]
        ends = await asyncio.gather(*calls)
        await asyncio.gather(*(sdk.close() for sdk in sdks))
        return ends

    own_cluster.leader().kill()
    ends = asyncio.run(while_a_leader_is_elected())
    assert set(ends) == {"ok"}, ends
    assert [overspend(node.admin, key, "requests")[0] for key in keys] == [0] * len(keys)


@pytest.mark.timeout(240)
def test_an_open_key_expires_in_time_on_a_node_that_is_cut_off(own_cluster):
    """The log stands still there, and with it the leader's clock."""
    own_cluster.serve("chat")
    budgets = [{"unit": "requests", "limit": 10_000}]
    lasting = own_cluster.admin.key(budgets=budgets, without_quorum="open")
    ends_s = 12
    called = time.monotonic()
    brief = [
        own_cluster.admin.key(budgets=budgets, without_quorum=word, expires_in_ms=ends_s * 1_000)
        for word in ("open", "grant_only")
    ]
    rotated = own_cluster.admin.key(budgets=budgets, without_quorum="open")
    own_cluster.admin.call("POST", f"/keys/{rotated['id']}/rotate", {"overlap_ms": ends_s * 1_000})
    returned = time.monotonic()
    keys = (*brief, rotated)
    # So that the first node holds grants.
    assert [ask(own_cluster.nodes[0], key) for key in keys] == [["ok"]] * 3
    with others_stopped(own_cluster) as survivor:
        assert [ask(survivor, key) for key in keys] == [["ok"]] * 3
        admitted = called
        while [ask(survivor, key) for key in keys] != [[STALE]] * 3:
            admitted = time.monotonic()
            assert admitted < returned + ends_s + 15, "an expired key is admitted without end"
        assert admitted > called + ends_s - 1, "and not refused before"
        # The bound, one second, and what a round of questions takes.
        assert admitted < returned + ends_s + BOUND_S + 1 + 1
        assert ask(survivor, lasting) == ["ok"], "the others go on"


@pytest.mark.timeout(240)
def test_what_overspending_would_make_wrong_is_refused_on_a_node_that_is_cut_off(own_cluster):
    own_cluster.serve("chat")
    admin = own_cluster.admin
    admin.call("POST", "/organisations", {"name": "acme"})
    admin.call("POST", "/budgets", {"subject": "end-user:acme/*", "unit": "requests", "limit": 100})
    budgets = [{"unit": "requests", "limit": 100}]
    key = admin.key(owner={"organisation": "acme"}, budgets=budgets, without_quorum="open")
    closed = admin.key()
    seen = {"extra_headers": {"x-quorate-end-user": "seen"}}
    assert ask(own_cluster.nodes[0], key, **seen) == ["ok"]
    with others_stopped(own_cluster) as survivor:
        eventually(lambda: ask(survivor, closed) == [STALE], 10, "the end of the lease")
        before = len(own_cluster.provider.entries())
        once = {"extra_headers": {"idempotency-key": "once"}}
        assert ask(survivor, key, **once) == ["503 idempotency_unavailable"], "it could be executed twice"
        new = {"extra_headers": {"x-quorate-end-user": "never-seen"}}
        assert ask(survivor, key, **new) == ["503 quota_unavailable"], "he would be limited by nothing"
        assert len(own_cluster.provider.entries()) == before
        assert [*ask(survivor, key), *ask(survivor, key, **seen)] == ["ok"] * 2, "others go on"


@pytest.mark.timeout(240)
def test_a_node_that_was_restarted_without_a_majority_serves_nobody(own_cluster):
    own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": 1_000}], without_quorum="open")
    assert ask(own_cluster.nodes[0], key) == ["ok"]
    with others_stopped(own_cluster) as survivor:
        survivor.kill()
        survivor.start_again()
        eventually(lambda: ask(survivor, key) == [NO_SESSION], 30, "a node that has started")
        before = len(own_cluster.provider.entries())
        until = time.monotonic() + 2 * BOUND_S
        while time.monotonic() < until:
            assert ask(survivor, key) == [NO_SESSION]
        assert not survivor.is_ready()
        assert len(own_cluster.provider.entries()) == before
    eventually(lambda: ask(survivor, key) == ["ok"], 30, "a node that has a session again")


@pytest.mark.timeout(240)
def test_what_was_overspent_under_a_session_that_was_declared_dead_meanwhile_is_told_all_the_same(partitioned, network):
    first = partitioned.admins[0]
    key = first.key(budgets=[{"unit": "requests", "limit": 5}], without_quorum="open")
    budget = first.budget_of(key)

    def third():
        sdk = openai.AsyncOpenAI(base_url=f"{partitioned.urls[2]}/v1", api_key=key["secret"], max_retries=0, timeout=60)
        return asyncio.run(one(sdk, "chat", max_tokens=1))

    eventually(lambda: third() == "ok", what="a node that knows the key")
    (held,) = first.explain(budget)["holdings"]
    network.cut_off(2)
    assert [third() for _ in range(12)] == ["ok"] * 12, "it has not heard of it"
    assert partitioned.quorate("cluster", "expire", held["session"], "-m", "it does not answer").returncode == 0
    assert [third() for _ in range(7)] == ["ok"] * 7
    billed = len(partitioned.provider.entries())
    assert billed == 20
    network.heal()

    def told():
        explained = first.explain(budget)
        counted = explained["used"] + explained["in_doubt"] + explained["overspend"]
        # What the dead session held and did not spend stays in doubt.
        return counted >= billed and (counted, explained)

    counted, explained = eventually(told, 30, "all that was billed is counted")
    assert explained["overspend"] >= billed - 5
    assert counted <= billed + 5, "beyond the bill no more than what the dead session held"
    eventually(lambda: third() == SPENT, 30, "a node that has another session")
