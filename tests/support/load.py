"""Many requests at once, and what became of each."""

import asyncio
from collections import Counter

import openai

SPENT = "429 credit_balance_exhausted"
HELD = "429 budget_held"


async def one(client, model, **fields):
    """Sends one chat request and says how it ended: `ok`, a status with its code, or `broken`."""
    messages = [{"role": "user", "content": "How many budgets does a cluster have?"}]
    try:
        await client.chat.completions.create(model=model, messages=messages, **fields)
        return "ok"
    except openai.APIStatusError as error:
        return f"{error.status_code} {error.code}"
    except openai.APIConnectionError:
        return "broken"


async def spread(clients, model, count, **fields):
    """That many requests at once, shared out among the clients."""
    calls = (one(clients[number % len(clients)], model, **fields) for number in range(count))
    return Counter(await asyncio.gather(*calls))


async def drain(nodes, key, model, spent=SPENT, **fields):
    """Asks one node after the other, again and again, until each has refused for good in the same round."""
    while True:
        ends = [await one(node.async_sdk(key), model, **fields) for node in nodes]
        assert set(ends) <= {"ok", spent, HELD}, ends
        if set(ends) == {spent}:
            return
