"""Embeddings on a budget of tokens: charged what the provider bills, exactly, to the last request that fits."""

import asyncio
import itertools

import openai

from support.load import HELD, SPENT
from support.wait import eventually

LIMIT = 3_000
# A text, several, and tokens, all of a cost that a client can foresee: a prompt and nothing else.
INPUTS = ["one text of some sixty-four bytes, or sixteen tokens for a model", ["several", "texts", "at once"], [7] * 20]
AT_ONCE = 60


async def embed(client, number, billed):
    """Sends one request; notes the tokens that the answer tells of, and says how it ended."""
    try:
        answer = await client.embeddings.create(model="vectors", input=INPUTS[number % len(INPUTS)])
    except openai.APIStatusError as error:
        return f"{error.status_code} {error.code}"
    assert answer.data[0].embedding
    billed.append(answer.usage.total_tokens)
    return "ok"


def test_embeddings_spend_a_budget_of_tokens_to_the_last_request_that_fits_and_the_ledger_says_the_bill(cluster):
    admin = cluster.admin
    admin.provider("vectors", cluster.provider.url)
    admin.model("vectors", "vectors", output_tokens_max=0)
    admin.route("vectors", "vectors")
    key = admin.key(budgets=[{"unit": "tokens", "limit": LIMIT}])
    budget = admin.budget_of(key)
    told = []

    async def story():
        clients = [node.async_sdk(key) for node in cluster.nodes]
        turns = itertools.cycle(clients)
        ends = await asyncio.gather(*(embed(next(turns), number, told) for number in range(AT_ONCE)))
        assert set(ends) <= {"ok", HELD, SPENT} and "ok" in ends, ends
        # Then the smallest, as often as it fits.
        while True:
            ends = [await embed(client, 1, told) for client in clients]
            assert set(ends) <= {"ok", HELD, SPENT}, ends
            if set(ends) == {SPENT}:
                return

    asyncio.run(story())
    billed = cluster.provider.billed_tokens("vectors")
    assert billed == sum(told), "the client is told what is billed"
    assert all(entry["completion_tokens"] == 0 for entry in cluster.provider.entries("vectors"))
    # No request that was refused is larger than its body and what surrounds it.
    largest = len(cluster.provider.last_request()) + 16
    assert LIMIT - largest < billed <= LIMIT, f"G1: {billed} billed"
    eventually(lambda: admin.explain(budget)["used"] == billed, what="a ledger that says the bill")
    explained = admin.explain(budget)
    assert (explained["overrun"], explained["crash_charged"], explained["in_doubt"]) == (0, 0, 0)
