"""A budget is removed while requests are turned away by it: whoever stands in line for it then goes on without it, at once."""

import asyncio
import time

import pytest
from support.load import one
from test_buckets import known_everywhere

ROUNDS = 40
CLIENTS = 12
# Longer than anybody may wait for a budget and for a proof.
DEADLINE_S = 8


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", [{}, {"bucket": "minute"}], ids=["lifetime", "bucket"])
def test_nobody_is_left_in_the_line_of_a_budget_that_was_removed(cluster, kind):
    model = f"removed-{kind.get('bucket')}"
    cluster.serve(model)
    for _ in range(ROUNDS):
        key = cluster.admin.key(budgets=[{"unit": "requests", "limit": 0, **kind}])
        known_everywhere(cluster, key)
        slowest = asyncio.run(ask_until_served(cluster, key, model))
        assert slowest < DEADLINE_S, f"a request took {slowest} s"


async def ask_until_served(cluster, key, model):
    """Everybody asks until the budget is gone, and is served then. Says how long the slowest request took."""
    budget = cluster.admin.budget_of(key)

    async def client(node):
        slowest = 0.0
        async with node.async_sdk(key, timeout=DEADLINE_S) as sdk:
            while True:
                began = time.monotonic()
                ends = await one(sdk, model, max_tokens=10)
                slowest = max(slowest, time.monotonic() - began)
                if ends == "ok":
                    return slowest

    clients = [asyncio.create_task(client(cluster.nodes[number % 3])) for number in range(CLIENTS)]
    await asyncio.sleep(0.2)
    await asyncio.to_thread(cluster.admin.call, "DELETE", f"/budgets/{budget['id']}")
    return max(await asyncio.gather(*clients))
