"""What is said of a request when it is over: its usage by the provider, believed or not, and the gateway's own time."""

import json

import pytest

from support.metrics import metric
from support.wait import eventually

MESSAGES = [{"role": "user", "content": "hello"}]
LIMIT = 10_000
PHASES = ["Authenticate", "ReadBody", "Parse", "Reserve", "Prepare", "Settle"]
# More than any model produces; more than 64 bits hold once they are added.
LIES = {"many": (2**40, 1), "overflowing": (2**64 - 1, 2**64 - 1)}


def complete(node, key, model, stream=False):
    answer = node.sdk(key).chat.completions.create(model=model, messages=MESSAGES, max_tokens=50, stream=stream)
    return list(answer) if stream else answer


def explained(cluster, key):
    """The key's only budget, once something was spent of it."""

    def spent():
        budget = cluster.admin.explain(cluster.admin.budget_of(key))
        return budget if budget["used"] else None

    return eventually(spent, what="a budget that was spent from")


def warnings(cluster, model):
    """The lines of all nodes that warn about a model."""
    text = "".join(log.read_text() for log in cluster.folder.glob("data/node-*/log.jsonl"))
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["level"] == "WARN" and line.get("model") == model]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("lie", LIES)
def test_usage_that_no_model_can_produce_is_charged_as_if_there_were_none(cluster, lie, stream):
    name = f"lie-{lie}-{stream}"
    model = cluster.serve(name)
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": LIMIT}])
    prompt, completion = LIES[lie]
    cluster.provider.behave(usage={"lie": {"prompt_tokens": prompt, "completion_tokens": completion}})
    node = cluster.nodes[0]
    counted = metric(node, 'quorate_usage_missing_total{reason="Impossible"}')
    complete(node, key, name, stream)
    budget = explained(cluster, key)
    assert budget["overrun"] == 0
    assert cluster.provider.billed_tokens(model) < budget["used"] < LIMIT
    assert metric(node, 'quorate_usage_missing_total{reason="Impossible"}') == counted + 1
    assert len(eventually(lambda: warnings(cluster, model), what="the warning")) == 1


def test_an_answer_without_usage_is_charged_in_full_and_counted(cluster):
    model = cluster.serve("silent")
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": LIMIT}])
    cluster.provider.behave(usage="missing")
    counted = metric(cluster.nodes[0], 'quorate_usage_missing_total{reason="Absent"}')
    complete(cluster.nodes[0], key, "silent")
    budget = explained(cluster, key)
    assert cluster.provider.billed_tokens(model) < budget["used"] < LIMIT
    assert metric(cluster.nodes[0], 'quorate_usage_missing_total{reason="Absent"}') == counted + 1


def test_a_provider_that_drips_for_ever_is_left_a_while_after_the_client_is_gone(cluster):
    model = cluster.serve("dripping")
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": LIMIT}])
    # A piece comes more often than any wait for one ends, and the last after some six hours.
    cluster.provider.behave(chunk_delay_ms=200, chunks=100_000)
    stream = cluster.nodes[0].sdk(key).chat.completions.create(
        model="dripping", messages=MESSAGES, max_tokens=50, stream=True
    )
    next(iter(stream))
    stream.close()
    eventually(lambda: cluster.provider.entries(model)[0]["outcome"] == "disconnected", 30, "a provider left alone")
    budget = explained(cluster, key)
    assert cluster.provider.billed_tokens(model) < budget["used"] < LIMIT
    assert (budget["overrun"], metric(cluster.nodes[0], "quorate_streams_open")) == (0, 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("tier", "times"), [("default", 1), ("flex", 1), ("priority", 3)])
def test_an_answer_served_at_a_dearer_tier_is_charged_more_money_and_no_more_tokens(cluster, tier, times, stream):
    name = f"{tier}-{stream}"
    model = cluster.serve(name)
    key = cluster.admin.key(budgets=[{"unit": "usd", "limit": "1"}])
    cluster.provider.behave(service_tier=tier)
    node = cluster.nodes[0]
    counted = (metric(node, "quorate_other_tier_total"), metric(node, "quorate_charged_tokens_total"))
    answer = node.sdk(key).chat.completions.create(
        model=name, messages=MESSAGES, max_tokens=50, stream=stream, service_tier="auto"
    )
    assert list(answer)[-1].service_tier == tier if stream else answer.service_tier == tier
    assert json.loads(cluster.provider.last_request())["service_tier"] == "auto"
    (entry,) = cluster.provider.entries(model)
    at_prices = entry["prompt_tokens"] * 1 + entry["completion_tokens"] * 2
    budget = eventually(lambda: (b := cluster.admin.budget_of(key))["used"] != "0" and b, what="a budget spent from")
    assert round(float(budget["used"]) * 1_000_000) == at_prices * times
    assert metric(node, "quorate_other_tier_total") == counted[0] + (times > 1)
    tokens = counted[1] + cluster.provider.billed_tokens(model)
    eventually(lambda: metric(node, "quorate_charged_tokens_total") == tokens, what="the tokens of the bill, charged")
    assert len(warnings(cluster, model)) == (times > 1)


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_written_into_the_cache_is_charged_its_own_price(cluster, stream):
    name = f"writes-{stream}"
    cluster.admin.provider(name, cluster.provider.url)
    cluster.admin.model(name, name, price={"input": "1", "cache_write": "10", "output": "2"})
    cluster.admin.route(name, name)
    key = cluster.admin.key(budgets=[{"unit": "usd", "limit": "1"}])
    # No lie: the fake provider has no cache, and says what it is told to.
    cluster.provider.behave(usage={"lie": {"prompt_tokens": 40, "cache_write_tokens": 30, "completion_tokens": 5}})
    complete(cluster.nodes[0], key, name, stream)
    budget = eventually(lambda: (b := cluster.admin.budget_of(key))["used"] != "0" and b, what="a budget spent from")
    # Thirty at ten dollars a million, ten at one, five at two.
    assert round(float(budget["used"]) * 1_000_000) == 30 * 10 + 10 * 1 + 5 * 2


@pytest.mark.parametrize("stream", [False, True])
def test_one_request_is_in_every_phase_and_once_in_the_total(cluster, stream):
    cluster.serve(f"phases-{stream}")
    node = cluster.nodes[0]
    series = [f'quorate_overhead_seconds_count{{phase="{phase}"}}' for phase in PHASES]
    series.append("quorate_request_overhead_seconds_count")
    before = [metric(node, name) for name in series]
    complete(node, cluster.admin.key(), f"phases-{stream}", stream)

    def grown():
        return [metric(node, name) - count for name, count in zip(series, before, strict=True)]

    eventually(lambda: grown() == [1] * len(series), what="one observation more in each series")


def test_the_total_leaves_out_what_the_provider_takes(cluster):
    cluster.serve("slow")
    node = cluster.nodes[0]
    cluster.provider.behave(latency_ms=400)
    before = metric(node, "quorate_request_overhead_seconds_sum")
    complete(node, cluster.admin.key(), "slow")
    eventually(lambda: metric(node, "quorate_request_overhead_seconds_sum") > before, what="the request's overhead")
    assert metric(node, "quorate_request_overhead_seconds_sum") - before < 0.4
