"""Buckets that go by estimates: requests reserve what they are expected to use, and what they use beyond is debt (ADR 22)."""

import asyncio
import json
import time

import httpx
import openai
import pytest

from support.admin import Refused
from support.command import done
from support.metrics import metric
from support.wait import eventually

MESSAGES = [{"role": "user", "content": "hello"}]
# Of each version of a model each node knows something after so many answers.
KNOWN = 100
# No answer is longer, so that a bound is larger still.
OUTPUT_MAX = 4_096
# The provider notes when a request reaches it, which is a little after it was admitted.
ON_THE_WAY_S = 1
# Nodes report four times a second, and use up what they were granted before they ask for more.
HEARD_WITHIN_S = 5
AT_ONCE = {"x-quorate-max-wait-ms": "0"}
# An answer that is not cut where its bound does not fit.
WHOLE = {"x-quorate-min-tokens": str(OUTPUT_MAX)}


def by_estimate(cluster, limit, **fields):
    budget = {"unit": "tokens", "bucket": "minute", "limit": limit, "reserve": "estimate", **fields}
    key = cluster.admin.key(budgets=[budget])
    for node in cluster.nodes:
        eventually(lambda node=node: node.admin.get(f"/keys/{key['id']}"), what="a key on every node")
    return key


def using(tokens):
    """A prompt that the provider answers with so many tokens."""
    return [{"role": "user", "content": f'hello [[fake {{"completion_tokens": {tokens}}}]]'}]


def ask(node, key, model, messages=MESSAGES, **headers):
    headers = {"authorization": f"Bearer {key['secret']}", **headers}
    body = {"model": model, "messages": messages}
    return httpx.post(f"{node.client_url}/v1/chat/completions", json=body, headers=headers, timeout=60)


def all_at_once(requests):
    async def gathered():
        return await asyncio.gather(*requests())

    return asyncio.run(gathered())


def learn(nodes, key, model):
    """Each node sees so many answers of twenty tokens as it takes to expect no more."""

    async def answers(node):
        async with node.async_sdk(key) as sdk:
            for _ in range(KNOWN):
                await sdk.chat.completions.create(model=model, messages=MESSAGES)

    all_at_once(lambda: [answers(node) for node in nodes])


def burst(cluster, key, model, count):
    """How many of so many requests at the same moment are served, over all nodes."""

    async def one(sdk):
        try:
            await sdk.chat.completions.create(model=model, messages=MESSAGES, extra_headers={**AT_ONCE, **WHOLE})
        except openai.RateLimitError:
            return False
        return True

    async def gathered():
        sdks = [node.async_sdk(key) for node in cluster.nodes]
        served = await asyncio.gather(*(one(sdks[number % len(sdks)]) for number in range(count)))
        await asyncio.gather(*(sdk.close() for sdk in sdks))
        return sum(served)

    return asyncio.run(gathered())


def tokens(entry):
    return entry["prompt_tokens"] + entry["completion_tokens"]


@pytest.mark.timeout(180)
def test_far_more_run_at_once_than_their_bounds_would_let_and_a_request_is_too_large_by_what_is_expected(cluster):
    model = cluster.serve("burst")
    free = cluster.admin.key()
    estimate, small = by_estimate(cluster, 20_000), by_estimate(cluster, 1_000)
    bound = by_estimate(cluster, 20_000, reserve="bound")
    too_large = ask(cluster.nodes[0], small, "burst", **AT_ONCE)
    assert (too_large.status_code, too_large.json()["error"]["code"]) == (429, "request_exceeds_budget"), "nothing is known"
    learn(cluster.nodes, free, "burst")
    assert ask(cluster.nodes[0], small, "burst").status_code == 200, "it is expected to use less"

    cluster.provider.behave(latency_ms=3_000)
    count = 60
    assert burst(cluster, bound, "burst", count) <= 20_000 // OUTPUT_MAX
    # The first of each node wait for a grant, which is what a client that does not wait is refused for.
    eventually(lambda: ask(cluster.nodes[0], estimate, "burst").status_code == 200, what="a first grant")
    before = len(cluster.provider.entries(model))
    served = burst(cluster, estimate, "burst", count)
    assert served > 2 * (20_000 // OUTPUT_MAX), served
    entries = cluster.provider.entries(model)[before:]
    assert sum(tokens(entry) for entry in entries) <= 20_000


@pytest.mark.timeout(180)
def test_in_no_stretch_of_time_is_more_billed_than_the_rate_and_what_is_beyond_estimates_and_not_known_yet(cluster):
    """One in ten uses twenty times what is expected: by the provider's clock."""
    model = cluster.serve("rate")
    learn(cluster.nodes, cluster.admin.key(), "rate")
    holds, asking_s = 20_000, 15
    key = by_estimate(cluster, holds)
    before = len(cluster.provider.entries(model))
    cluster.provider.behave(latency_ms=100)

    async def client(node, number, until):
        async with node.async_sdk(key) as sdk:
            while time.monotonic() < until:
                number += 1
                try:
                    messages = using(400) if number % 10 == 0 else MESSAGES
                    await sdk.chat.completions.create(model="rate", messages=messages)
                except openai.RateLimitError as error:
                    assert error.code == "rate_limit_exceeded", error

    until = time.monotonic() + asking_s
    all_at_once(lambda: [client(node, number, until) for node in cluster.nodes for number in range(6)])
    entries = sorted(cluster.provider.entries(model)[before:], key=lambda entry: entry["started_at"])
    expected = max(tokens(entry) for entry in entries if entry["completion_tokens"] == 20)
    check_rate(entries, holds, expected)
    assert sum(tokens(entry) for entry in entries) > holds, "the bucket was emptied"
    budget = cluster.admin.budget_of(key)
    assert sum(metric(node, "quorate_estimates_exceeded_total") for node in cluster.nodes) > 0

    def heard():
        explained = cluster.admin.explain(budget)
        assert explained["overrun"] == 0, "what goes beyond an estimate is no alarm"
        return explained["used"] + explained["granted"] + explained["free"] == holds + explained["excess"]

    eventually(heard, what="every token in its place")


def check_rate(entries, holds, expected):
    """What stands in a bucket that leaks is no more than it holds and what requests used beyond that may not be known yet."""
    level, before, rate = 0.0, 0.0, holds / 60
    for number, entry in enumerate(entries):
        at = entry["started_at"] / 1_000
        level = max(0.0, level - rate * (at - before)) + tokens(entry)
        before = at
        latest = (each for each in entries[: number + 1] if each["started_at"] / 1_000 >= at - HEARD_WITHIN_S)
        unknown = sum(max(0, tokens(each) - expected) for each in latest)
        most = holds + rate * ON_THE_WAY_S + unknown
        assert level <= most, f"I12: {level} stands at {at}, of {most}"


@pytest.mark.timeout(180)
def test_a_debt_makes_the_next_wait_until_it_has_leaked(cluster):
    """300 leak in a second, and 3,600 more are used."""
    cluster.serve("debt")
    learn(cluster.nodes[:1], cluster.admin.key(), "debt")
    key, node = by_estimate(cluster, 300, bucket="second"), cluster.nodes[0]
    budget = cluster.admin.budget_of(key)
    assert budget["reserve"] == "estimate"
    before = counted(node)
    assert ask(node, key, "debt", using(3_900)).status_code == 200
    began = time.monotonic()
    requests, reserved, exceeded, beyond = (now - then for now, then in zip(counted(node), before, strict=True))
    assert (requests, exceeded) == (1, 1)
    assert 20 <= reserved <= 300 and reserved + beyond >= 3_900, (reserved, beyond)
    explained = eventually(lambda: in_debt(cluster, budget), 10, "the debt in the ledger")
    assert 1_000 < explained["debt"] < 3_700 and explained["overrun"] == 0, explained
    assert f"a debt of {explained['debt']} has to leak" in explained["explanation"], explained
    assert metric(node, 'quorate_budget_debt{unit="Tokens"}') > 0

    def refused():
        answer = ask(node, key, "debt", **AT_ONCE)
        return answer if answer.status_code != 200 else None

    refused = eventually(refused, 3, "an end of what the node was granted before")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded"), refused.text
    assert int(refused.headers["retry-after"]) >= 1, refused.headers
    eventually(lambda: ask(node, key, "debt").status_code == 200, 60, "a debt that has leaked")
    assert time.monotonic() - began > 3_600 / 300 - 2, "so much had to leak first"


def counted(node):
    names = ("estimated_requests", "estimated_tokens", "estimates_exceeded", "estimates_exceeded_tokens")
    return [metric(node, f"quorate_{name}_total") for name in names]


def in_debt(cluster, budget):
    explained = cluster.admin.explain(budget)
    return explained if explained["debt"] > 0 else None


@pytest.mark.timeout(300)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_debt_that_a_client_has_heard_of_survives_the_death_of_its_node(own_cluster, stream):
    model = own_cluster.serve("mortal")
    victim = own_cluster.nodes[-1]
    learn([victim], own_cluster.admin.key(), "mortal")
    learned = own_cluster.provider.billed_tokens(model)
    key = by_estimate(own_cluster, 3_000)
    budget = own_cluster.admin.budget_of(key)
    answer = victim.sdk(key).chat.completions.create(model="mortal", messages=using(4_000), stream=stream)
    assert not stream or list(answer)
    answered = time.monotonic()
    victim.kill()
    victim.start_again()
    victim.wait_until_ready()
    billed = own_cluster.provider.billed_tokens(model) - learned
    explained = victim.admin.explain(budget)
    # Fifty a second leak, from when the ledger heard of it.
    leaked = 50 * (time.monotonic() - answered + 1)
    assert billed > 4_000 and explained["used"] > billed - leaked, f"G1: {billed} billed, {explained}"
    assert explained["debt"] > 0, explained


def test_only_buckets_of_tokens_may_be_reserved_by_estimate_and_it_can_be_changed(cluster):
    for fields in ({"bucket": None, "window": "day"}, {"unit": "requests"}, {"unit": "usd"}, {"bucket": None}):
        with pytest.raises(Refused, match="only for buckets of tokens") as refused:
            wish = {"unit": "tokens", "bucket": "minute", "limit": 6, "reserve": "estimate", **fields}
            cluster.admin.key(budgets=[{name: value for name, value in wish.items() if value}])
        assert refused.value.status == 400
    with pytest.raises(Refused, match='\\\\"mean\\\\" is none of bound, estimate'):
        by_estimate(cluster, 6, reserve="mean")
    cluster.admin.call("POST", "/teams", {"name": "search"})
    create = ("budget", "create", "team:search", "100k tpm", "--reserve", "estimate", "-o", "json")
    budget = json.loads(done(cluster, *create))
    assert (budget["reserve"], budget["bucket"], budget["limit"]) == ("estimate", "minute", 100_000)
    path = f"/budgets/{budget['id']}"
    assert cluster.admin.call("PUT", path, {"limit": 5})["reserve"] == "estimate", "what is left out stays"
    done(cluster, "budget", "set", str(budget["id"]), "--reserve", "bound")
    changed = cluster.admin.get(path)
    assert (changed["reserve"], changed["limit"]) == ("bound", 5)
