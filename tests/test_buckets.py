"""Buckets, which everybody calls rate limits: requests and tokens per minute, over all nodes together (I12)."""

import asyncio
import json
import re
import time

import httpx
import openai
import pytest

from support.admin import Refused
from support.command import done
from support.doubt import dead_holding
from support.wait import eventually

MESSAGES = [{"role": "user", "content": "hello"}]
# The provider notes when a request reaches it, which is a little after it was admitted.
ON_THE_WAY_S = 1


def known_everywhere(cluster, key):
    for node in cluster.nodes:
        eventually(lambda node=node: node.admin.get(f"/keys/{key['id']}"), what="a key on every node")


def ask(node, key, model, **headers):
    headers = {"authorization": f"Bearer {key['secret']}", **headers}
    body = {"model": model, "max_tokens": 10, "messages": MESSAGES}
    return httpx.post(f"{node.client_url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def check_rate(entries, holds, refill_s, amount=lambda entry: 1):
    """Between any two instants no more than the bucket holds, and what leaks meanwhile: that is what stands in one that leaks."""
    level, before = 0.0, 0.0
    rate = holds / refill_s
    for entry in sorted(entries, key=lambda entry: entry["started_at"]):
        at = entry["started_at"] / 1000
        level = max(0.0, level - rate * (at - before)) + amount(entry)
        before = at
        assert level <= holds + rate * ON_THE_WAY_S, f"{level} stands at {at}, of {holds}"


@pytest.mark.timeout(120)
def test_requests_per_minute_hold_over_all_nodes_and_the_rate_is_used(cluster):
    """Everybody asks all the time on three nodes: the bucket is emptied at once, and then as fast as it fills."""
    model = cluster.serve("rpm")
    holds, refill_s, asking_s = 120, 60, 10
    key = cluster.admin.key(budgets=[{"unit": "requests", "bucket": "minute", "limit": holds}])
    known_everywhere(cluster, key)
    ends = {"ok": 0, "refused": 0}

    async def client(node, until):
        async with node.async_sdk(key) as sdk:
            while time.monotonic() < until:
                try:
                    await sdk.chat.completions.create(model="rpm", messages=MESSAGES, max_tokens=10)
                    ends["ok"] += 1
                except openai.RateLimitError as error:
                    assert error.code == "rate_limit_exceeded", error
                    ends["refused"] += 1

    async def all_at_once():
        until = time.monotonic() + asking_s
        await asyncio.gather(*(client(node, until) for node in cluster.nodes for _ in range(6)))

    asyncio.run(all_at_once())
    entries = cluster.provider.entries(model)
    check_rate(entries, holds, refill_s)
    assert len(entries) == ends["ok"]
    # Of what leaks in the last two seconds, what is spent may not be reported yet.
    assert len(entries) >= holds + (asking_s - 2) * holds / refill_s, ends


def test_tokens_per_minute_count_what_was_used_and_not_what_was_reserved(cluster):
    model = cluster.serve("tpm")
    key = cluster.admin.key(budgets=[{"unit": "tokens", "bucket": "minute", "limit": 1_000}])
    known_everywhere(cluster, key)
    refused = 0
    for number in range(200):
        answer = ask(cluster.nodes[number % 3], key, "tpm", **{"x-quorate-max-wait-ms": "0"})
        refused += answer.status_code == 429
    entries = cluster.provider.entries(model)
    tokens = [entry["prompt_tokens"] + entry["completion_tokens"] for entry in entries]
    check_rate(entries, 1_000, 60, lambda entry: entry["prompt_tokens"] + entry["completion_tokens"])
    # The bound of one is below 150: its bytes, what a provider may add to a prompt, and ten.
    assert refused and sum(tokens) > 1_000 - 150, (refused, sum(tokens))


def test_who_comes_too_early_is_told_when_to_come_again_and_then_served(cluster):
    """Six a minute: one leaks every ten seconds."""
    cluster.serve("early")
    key = cluster.admin.key(budgets=[{"unit": "requests", "bucket": "minute", "limit": 6}])
    node = cluster.nodes[0]
    remaining = []
    for _ in range(6):
        answer = ask(node, key, "early")
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-ratelimit-limit-requests"] == "6"
        assert re.fullmatch(r"(\d+m)?\d+s|\d+ms", answer.headers["x-ratelimit-reset-requests"])
        remaining.append(int(answer.headers["x-ratelimit-remaining-requests"]))
    assert remaining == [5, 4, 3, 2, 1, 0]

    began = time.monotonic()
    refused = ask(node, key, "early")
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == refused.json()["error"]["type"] == "rate_limit_exceeded"
    assert refused.headers["x-should-retry"] == "true"
    assert time.monotonic() - began < 2, "its patience is not enough, so it is told at once"
    wait = int(refused.headers["retry-after"])
    assert 1 <= wait <= 10

    def served():
        answer = ask(node, key, "early")
        assert answer.status_code in (200, 429), answer.text
        return answer.status_code == 200

    eventually(served, 2 * wait + 5, "room in the bucket")
    # The sixth was spent less than a second before the seventh was refused.
    assert time.monotonic() - began > wait - 2, "nothing leaks sooner than that"


def test_a_bucket_that_is_hammered_costs_the_log_a_few_entries_a_second_and_none_for_each_refusal(cluster):
    cluster.serve("hammered")
    key = cluster.admin.key(budgets=[{"unit": "requests", "bucket": "day", "limit": 1}])
    known_everywhere(cluster, key)
    assert ask(cluster.nodes[0], key, "hammered").status_code == 200
    assert ask(cluster.nodes[0], key, "hammered", **{"x-quorate-max-wait-ms": "0"}).status_code == 429
    hammering_s, refused = 5, 0

    async def client(node, until):
        nonlocal refused
        headers = {"x-quorate-max-wait-ms": "0"}
        async with node.async_sdk(key, default_headers=headers) as sdk:
            while time.monotonic() < until:
                with pytest.raises(openai.RateLimitError) as told:
                    await sdk.chat.completions.create(model="hammered", messages=MESSAGES, max_tokens=10)
                assert told.value.code == "rate_limit_exceeded", told.value
                refused += 1

    async def all_at_once():
        until = time.monotonic() + hammering_s
        await asyncio.gather(*(client(node, until) for node in cluster.nodes for _ in range(20)))

    began, before = time.monotonic(), cluster.admin.status()["applied"]
    asyncio.run(all_at_once())
    entries, took = cluster.admin.status()["applied"] - before, time.monotonic() - began
    # Each of three nodes asks for the time ten times a second, and may report four times; the leader ticks.
    assert entries <= (3 * (10 + 4) + 2) * took, (entries, refused)
    assert refused > 2 * entries, (entries, refused)


def test_who_has_patience_waits_for_what_leaks(cluster):
    """Sixty a minute: one leaks every second, and a request waits two."""
    cluster.serve("patient")
    key = cluster.admin.key(budgets=[{"unit": "requests", "bucket": "minute", "limit": 60}])
    known_everywhere(cluster, key)
    began = time.monotonic()
    for number in range(66):
        answer = ask(cluster.nodes[number % 3], key, "patient")
        assert answer.status_code == 200, answer.text
    assert time.monotonic() - began > 5.9, "six have to leak first, however long the others took"


def test_the_command_line_takes_rates_as_everybody_writes_them(cluster):
    key = json.loads(done(cluster, "key", "create", "--budget", "60 rpm", "--budget", "100k tpm", "-o", "json"))
    budgets = cluster.admin.items(f"/budgets?subject=key:{key['id']}")
    shown = {(budget["unit"], budget["bucket"], budget["window"], budget["limit"]) for budget in budgets}
    assert shown == {("requests", "minute", None, 60), ("tokens", "minute", None, 100_000)}
    told = done(cluster, "budget", "explain", f"key:{key['id']}")
    assert "of 60 requests (bucket that fills in a minute) 0 are spent" in told, told


def test_a_bucket_with_a_window_is_refused(cluster):
    with pytest.raises(Refused, match="a bucket has no window") as refused:
        cluster.admin.key(budgets=[{"unit": "requests", "bucket": "minute", "window": "day", "limit": 6}])
    assert refused.value.status == 400


@pytest.mark.timeout(120)
def test_what_a_dead_session_holds_of_a_bucket_is_resolved_by_nobody_before_a_refill(own_cluster):
    own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "requests", "bucket": "second", "limit": 40}])
    slow = own_cluster.admin.call(
        "POST", "/budgets", {"subject": f"key:{key['id']}", "unit": "requests", "bucket": "hour", "limit": 40}
    )
    known_everywhere(own_cluster, key)
    node = own_cluster.nodes[2]
    assert ask(node, key, "chat").status_code == 200
    (holding,) = own_cluster.admin.explain(slow)["holdings"]
    done(own_cluster, "cluster", "expire", holding["session"], "-m", "it is gone")
    dead = dead_holding(own_cluster, slow)
    resolve = {"session": dead["session"], "spent": dead["spent_at_most"]}
    reason = {"x-quorate-reason": "it is gone"}
    refused = own_cluster.admin.http.post(f"/budgets/{slow['id']}/resolve", json=resolve, headers=reason)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "may_spend_yet"), refused.text
    (quick,) = [each for each in own_cluster.admin.items(f"/budgets?subject=key:{key['id']}") if each["bucket"] == "second"]

    def leaked():
        explained = own_cluster.admin.explain(quick)
        return explained["in_doubt"] == 0 and [each["actor"] for each in explained["resolutions"]] == ["rule"]

    eventually(leaked, 20, "the doubt of a second's bucket to end by itself")
