"""Near the end of a budget an answer is cut to what is left: never over, and the client is told (ADR 11)."""

import httpx
import pytest

from support.metrics import metric
from support.wait import eventually

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hello"}]
# What the prompt of these tests may cost at most is less than this, and its real usage is less than that.
PROMPT_MAX = 120
X_MAX_TOKENS = "x-quorate-max-tokens"


def ask(cluster, key, model, headers=None, node=0, **fields):
    headers = {"authorization": f"Bearer {key['secret']}", **(headers or {})}
    body = {"model": model, "messages": MESSAGES, **fields}
    return httpx.post(cluster.nodes[node].client_url + CHAT, json=body, headers=headers, timeout=60)


def served(cluster, name, limit, unit="tokens", **behaviour):
    """A model that uses all the output it may, and a key with a budget for it."""
    model = cluster.serve(name)
    cluster.provider.behave(completion_tokens=1_000_000, **behaviour)
    return model, cluster.admin.key(budgets=[{"unit": unit, "limit": limit}])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_is_cut_to_what_is_left_and_the_budget_is_used_to_the_last_request(cluster, stream):
    name = f"cut-{stream}".lower()
    model, key = served(cluster, name, 1_000)
    first = ask(cluster, key, name, max_tokens=500, stream=stream)
    assert first.status_code == 200 and X_MAX_TOKENS not in first.headers

    second = ask(cluster, key, name, max_tokens=500, stream=stream, node=1)
    assert second.status_code == 200
    limit = int(second.headers[X_MAX_TOKENS])
    assert 256 <= limit < 500
    entries = cluster.provider.entries(model)
    assert [entry["completion_tokens"] for entry in entries] == [500, limit]
    if not stream:
        assert second.json()["choices"][0]["finish_reason"] == "length"

    third = ask(cluster, key, name, max_tokens=500, stream=stream, node=2)
    assert third.status_code == 429
    billed = cluster.provider.billed_tokens(model)
    assert 1_000 - PROMPT_MAX <= billed <= 1_000
    budget = cluster.admin.budget_of(key)
    eventually(lambda: cluster.admin.explain(budget)["used"] == billed, what="a ledger that says the bill")


def test_a_client_that_states_no_limit_gets_one_in_the_parameter_that_the_model_knows(cluster):
    # Fewer than the 4,096 tokens that the model may answer with.
    _, key = served(cluster, "unstated", 1_000)
    answer = ask(cluster, key, "unstated")
    assert answer.status_code == 200
    assert f'"max_tokens":{answer.headers[X_MAX_TOKENS]}'.encode() in cluster.provider.last_request()

    cluster.admin.provider("newer", cluster.provider.url)
    cluster.admin.model("newer", "newer", output_limit_parameter="max_completion_tokens")
    cluster.admin.route("newer", "newer")
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": 1_000}])
    answer = ask(cluster, key, "newer")
    assert answer.status_code == 200
    assert f'"max_completion_tokens":{answer.headers[X_MAX_TOKENS]}'.encode() in cluster.provider.last_request()


def test_money_is_cut_as_tokens_are_and_the_tightest_budget_decides(cluster):
    model, key = served(cluster, "money", 100_000)
    # 2 dollars a million tokens of output: 1,000 of them, less the prompt.
    cluster.admin.call("POST", "/budgets", {"subject": f"key:{key['id']}", "unit": "usd", "limit": "0.002"})
    cluster.admin.get("/budgets")
    answer = ask(cluster, key, "money", max_tokens=4_000)
    assert answer.status_code == 200
    limit = int(answer.headers[X_MAX_TOKENS])
    assert 1_000 - PROMPT_MAX <= limit < 1_000
    (entry,) = cluster.provider.entries(model)
    assert entry["completion_tokens"] == limit
    tokens = next(b for b in cluster.admin.items(f"/budgets?subject=key:{key['id']}") if b["unit"] == "tokens")
    billed = entry["prompt_tokens"] + limit
    eventually(lambda: cluster.admin.explain(tokens)["used"] == billed, what="what was not needed to come back")


def test_who_cannot_use_a_short_answer_is_refused_instead(cluster):
    model, key = served(cluster, "whole-only", 1_000)
    refused = ask(cluster, key, "whole-only", {"x-quorate-min-tokens": "2000"}, max_tokens=2_000)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "request_exceeds_budget")
    shorter = ask(cluster, key, "whole-only", {"x-quorate-min-tokens": "900"}, max_tokens=2_000)
    assert shorter.status_code == 429
    assert cluster.provider.entries(model) == []
    taken = ask(cluster, key, "whole-only", {"x-quorate-min-tokens": "10"}, max_tokens=2_000)
    assert taken.status_code == 200 and X_MAX_TOKENS in taken.headers


def test_a_stream_whose_provider_pays_no_heed_to_the_limit_is_ended_as_if_it_had(cluster):
    model, key = served(cluster, "heedless", 100_000)
    cluster.provider.behave(ignores_max_tokens=True, completion_tokens=500, chunks=500, chunk_delay_ms=5)
    cut = metric(cluster.nodes[0], "quorate_limits_ignored_total")
    stream = cluster.nodes[0].sdk(key).chat.completions.create(
        model="heedless", messages=MESSAGES, max_tokens=20, stream=True
    )
    chunks = [chunk for chunk in stream if chunk.choices]
    assert chunks[-1].choices[0].finish_reason == "length"
    assert 20 <= len(chunks) < 60
    assert metric(cluster.nodes[0], "quorate_limits_ignored_total") == cut + 1
    cluster.provider.wait_until_idle()
    budget = cluster.admin.budget_of(key)
    explained = eventually(lambda: (e := cluster.admin.explain(budget))["used"] and e, what="a charge")
    # All that was reserved, and what is known to be beyond it.
    assert explained["overrun"] > 0
    assert explained["used"] + explained["overrun"] >= cluster.provider.billed_tokens(model)


def covers_the_bill(cluster, key, model):
    """Whether the ledger has charged what the provider billed. It hears of what was settled a moment later."""
    cluster.provider.wait_until_idle()
    explained = cluster.admin.explain(cluster.admin.budget_of(key))
    return explained["used"] + explained["overrun"] >= cluster.provider.billed_tokens(model)


# A quarter more than the limit is no reason to cut a stream; twice is.
@pytest.mark.parametrize("said", [1_240, 2_000])
@pytest.mark.parametrize("chunk_delay_ms", [0, 1])
def test_what_a_heedless_provider_delivered_without_usage_is_charged_to_the_last_token(cluster, said, chunk_delay_ms):
    name = f"longer-{said}-{chunk_delay_ms}"
    model, key = served(
        cluster, name, 100_000, ignores_max_tokens=True, usage="missing", chunks=said, chunk_delay_ms=chunk_delay_ms
    )
    cluster.provider.behave(completion_tokens=said)
    cut = metric(cluster.nodes[0], "quorate_limits_ignored_total")
    stream = cluster.nodes[0].sdk(key).chat.completions.create(
        model=name, messages=MESSAGES, max_tokens=1_000, stream=True
    )
    assert 1_000 <= sum(1 for _ in stream) <= said + 2
    assert metric(cluster.nodes[0], "quorate_limits_ignored_total") == cut + (said > 1_250)
    eventually(lambda: covers_the_bill(cluster, key, model), what="G1: as much charged as was billed")
