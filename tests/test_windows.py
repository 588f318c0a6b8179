"""Calendar-window budgets: the headers clients pace themselves by, the refusal that says when to come back."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.wait import eventually

BODY = {"model": "windowed", "max_tokens": 10, "messages": [{"role": "user", "content": "hello"}]}


def ask(node, key, model="windowed"):
    headers = {"authorization": f"Bearer {key['secret']}"}
    return httpx.post(f"{node.client_url}/v1/chat/completions", json=BODY | {"model": model}, headers=headers, timeout=30)


def outstanding(shown):
    return sum(holding["outstanding"] for holding in shown["holdings"])


def test_a_window_budget_tells_its_limit_what_remains_and_when_it_resets(cluster):
    cluster.serve("windowed")
    budgets = [{"unit": "tokens", "limit": 100_000, "window": "day"}, {"unit": "requests", "limit": 3, "window": "day"}]
    key = cluster.admin.key(budgets=budgets)
    node = cluster.nodes[0]

    first, second = ask(node, key), ask(node, key)
    for answer in (first, second):
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-ratelimit-limit-tokens"] == "100000"
        assert answer.headers["x-ratelimit-limit-requests"] == "3"
        assert re.fullmatch(r"(\d+h)?(\d+m)?\d+s|\d+ms", answer.headers["x-ratelimit-reset-tokens"])
    remaining = [int(answer.headers["x-ratelimit-remaining-requests"]) for answer in (first, second)]
    assert remaining == [2, 1]
    spent = [100_000 - int(answer.headers["x-ratelimit-remaining-tokens"]) for answer in (first, second)]
    assert spent == [first.json()["usage"]["total_tokens"], sum(a.json()["usage"]["total_tokens"] for a in (first, second))]

    assert ask(node, key).status_code == 200
    refused = ask(node, key)
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "insufficient_quota"
    assert refused.json()["error"]["code"] == "credit_balance_exhausted"
    assert refused.headers["x-should-retry"] == "false"
    assert 0 < int(refused.headers["retry-after"]) <= 86_400


def test_a_lifetime_budget_has_no_window_to_tell_of(cluster):
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": 100_000}])
    answer = ask(cluster.nodes[0], key)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


@pytest.mark.timeout(240)
def test_a_node_that_dies_just_before_a_minute_ends_and_is_back_after_it_costs_the_new_minute_nothing(own_cluster):
    own_cluster.serve("edge")
    admin, node = own_cluster.leader().admin, own_cluster.followers()[0]
    key = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": 10, "window": "minute"}])
    budget = own_cluster.admin.budget_of(key)
    eventually(lambda: time.time() % 60 < 45, 30, "a minute that is not about to end")
    this = admin.explain(budget)["window_end"]
    assert ask(node, key, "edge").status_code == 200

    # Whoever is granted of the next minute has it, and a watermark of it, five seconds before it begins.
    eventually(lambda: time.time() % 60 > 58, 90, "the last seconds of the minute")
    node.kill()

    def new_minute():
        shown = admin.explain(budget)
        return shown if shown["window_end"] != this else None

    shown = eventually(new_minute, 20, "the next minute")
    assert outstanding(shown) > 0, shown
    node.start_again()
    node.wait_until_ready()
    eventually(lambda: outstanding(admin.explain(budget)) == 0, what="the end of the dead session")
    shown = admin.explain(budget)
    assert (shown["used"], shown["crash_charged"], shown["window_end"] != this) == (0, 0, True), shown
    assert [ask(node, key, "edge").status_code for _ in range(10)] == [200] * 10


@pytest.mark.timeout(240)
def test_a_budget_in_use_is_granted_of_its_next_minute_before_it_begins(cluster):
    cluster.serve("next-minute")
    key = cluster.admin.key(budgets=[{"unit": "requests", "limit": 100, "window": "minute"}])
    eventually(lambda: time.time() % 60 < 45, 30, "a minute that is not about to end")
    assert ask(cluster.nodes[0], key, "next-minute").status_code == 200
    budget = cluster.admin.budget_of(key)
    this = cluster.admin.explain(budget)["window_end"]

    def next_minute():
        shown = cluster.admin.explain(budget)
        return shown if shown["window_end"] != this else None

    # Nobody asks for anything meanwhile: what a node holds of it was granted before.
    shown = eventually(next_minute, 90, "the next minute")
    assert shown["used"] == 0 and shown["granted"] > 0, shown
    assert ask(cluster.nodes[0], key, "next-minute").status_code == 200
    eventually(lambda: cluster.admin.explain(budget)["used"] == 1, what="one in the new minute")


KEYS = 1_000


@pytest.mark.timeout(400)
def test_the_windows_of_many_keys_begin_with_one_entry_of_the_log_and_not_one_for_each(own_cluster):
    own_cluster.serve("midnight")
    node = own_cluster.nodes[0]
    budgets = [{"unit": "requests", "limit": 100, "window": "minute"}]

    def applied():
        return own_cluster.nodes[0].admin.status()["applied"]

    with ThreadPoolExecutor(16) as many, httpx.Client(timeout=30) as client:

        def served(key):
            headers = {"authorization": f"Bearer {key['secret']}"}
            body = BODY | {"model": "midnight"}
            answer = client.post(f"{node.client_url}/v1/chat/completions", json=body, headers=headers)
            return answer.status_code

        keys = list(many.map(lambda _: own_cluster.admin.key(budgets=budgets), range(KEYS)))
        last = own_cluster.admin.budget_of(keys[-1])
        eventually(lambda: time.time() % 60 < 5, 70, "a minute that has just begun")
        assert set(many.map(served, keys)) == {200}
        this = own_cluster.admin.explain(last)["window_end"]

        # By then all budgets in use were granted of the next minute.
        eventually(lambda: time.time() % 60 > 56, 70, "the last seconds of the minute")
        before, since = applied(), time.monotonic()
        eventually(lambda: own_cluster.admin.explain(last)["window_end"] != this, 20, "the next minute")
        assert set(many.map(served, keys)) == {200}
        entries, took = applied() - before, time.monotonic() - since
    # A report of each node every quarter of a second, and a tick every second: as long as it takes, and no more for the keys.
    assert entries < 20 + 15 * took < KEYS, f"{entries} entries in {took:.1f} s"
