"""A debt that a client was told of while its node was cut off and declared dead: it counts when the node is heard again, though by then
the doubt about that session has ended.
"""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.wait import eventually

# Of each version of a model each node knows something after so many answers.
KNOWN = 100
# So many leak in a second, and far more are used.
LIMIT, USED = 100, 4_000
HELLO = [{"role": "user", "content": "hello"}]
MUCH = [{"role": "user", "content": f'hello [[fake {{"completion_tokens": {USED}}}]]'}]


def ask(cluster, key, messages=HELLO):
    """Asks the node that will be cut off."""
    headers = {"authorization": f"Bearer {key['secret']}"}
    body = {"model": "chat", "messages": messages}
    return httpx.post(f"{cluster.urls[2]}/v1/chat/completions", json=body, headers=headers, timeout=60)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("dies", [False, True], ids=["heals", "dies"])
def test_a_debt_of_a_node_that_was_declared_dead_counts_when_the_node_is_back(partitioned, network, dies):
    admin = partitioned.admins[0]
    free = admin.key()
    for _ in range(KNOWN):
        assert ask(partitioned, free).status_code == 200
    budget = {"unit": "tokens", "bucket": "second", "limit": LIMIT, "reserve": "estimate"}
    key = admin.key(budgets=[budget])
    eventually(lambda: ask(partitioned, key).status_code == 200, what="a first grant")
    budget = admin.budget_of(key)
    partitioned.provider.behave(latency_ms=16_000)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ask, partitioned, key, MUCH)
        (held,) = eventually(lambda: reserved(partitioned.admins[2], budget), what="a request under way")
        network.cut_off(2)
        expire = f"/sessions/{held['session']}/expire"
        admin.http.post(expire, json={}, headers={"x-quorate-reason": "dead"}).raise_for_status()
        eventually(lambda: admin.explain(budget)["resolutions"], 12, "the end of doubt, by rule")
        assert not answer.done(), "nobody knows yet what it uses"
        usage = answer.result().json()["usage"]
    assert usage["completion_tokens"] == USED
    assert admin.explain(budget)["debt"] == 0, "the node is cut off"
    if dies:
        os.kill(partitioned.pids[2], signal.SIGKILL)
    network.heal()
    if dies:
        partitioned.start(2)
    explained = eventually(lambda: in_debt(admin, budget), 30, "G1: the debt in the ledger")
    # Nothing was granted meanwhile, so all of it is there but for what has leaked since it was heard.
    assert USED / 2 < explained["debt"] <= usage["total_tokens"] - LIMIT, explained
    assert explained["overspend"] == 0, "it is told in one way"


def reserved(admin, budget):
    return [held for held in admin.explain(budget)["holdings"] if (held["reserved"] or 0) > 0]


def in_debt(admin, budget):
    explained = admin.explain(budget)
    return explained if explained["debt"] > 0 else None
