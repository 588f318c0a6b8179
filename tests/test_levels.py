"""Budgets of a key, its user, its team and its organisation at once, over three nodes: the tightest one counts (G1, I3)."""

import asyncio

import pytest

from support.load import drain, spread
from support.wait import eventually

LEVELS = ["key", "user", "team", "organisation"]
# The answer tells whose budget it was, in the words that SDKs know.
SPENT = {
    "key": "429 credit_balance_exhausted",
    "user": "429 credit_balance_exhausted",
    "team": "429 project_spend_limit_exceeded",
    "organisation": "429 organization_spend_limit_exceeded",
}
TIGHTEST, NEXT, WIDE = 10, 16, 1_000
TOKENS = 1_000_000


class Path:
    """A key with a budget of requests and one of tokens on each of its four levels."""

    def __init__(self, admin, name, limits):
        self.admin = admin
        admin.call("POST", "/organisations", {"name": name})
        admin.call("POST", "/teams", {"name": name, "organisation": name})
        admin.call("POST", "/users", {"name": name})
        self.key = admin.key(owner={"organisation": name, "team": name, "user": name})
        subjects = [f"key:{self.key['id']}", f"user:{name}", f"team:{name}", f"org:{name}"]
        self.requests, self.tokens = (
            {level: self._budget(subject, unit, limit(level)) for level, subject in zip(LEVELS, subjects)}
            for unit, limit in (("requests", limits.get), ("tokens", lambda _level: TOKENS))
        )

    def _budget(self, subject, unit, limit):
        return self.admin.call("POST", "/budgets", {"subject": subject, "unit": unit, "limit": limit})

    def raise_limit(self, level, limit):
        self.admin.call("PUT", f"/budgets/{self.requests[level]['id']}", {"limit": limit})

    def used(self):
        """What each level has used: requests and tokens."""
        used = lambda budget: self.admin.explain(budget)["used"]  # noqa: E731
        return {level: (used(self.requests[level]), used(self.tokens[level])) for level in LEVELS}


def spend(nodes, key, model, spent):
    """Twice as many requests at once as the budget has, then one by one until no node lets one through."""

    async def both():
        ends = await spread([node.async_sdk(key) for node in nodes], model, 2 * NEXT)
        await drain(nodes, key, model, spent)
        return ends

    return asyncio.run(both())


@pytest.mark.parametrize("tightest", LEVELS)
def test_the_tightest_of_four_budgets_ends_a_key_exactly_and_raised_leaves_it_to_the_next(cluster, tightest):
    model = cluster.serve(f"by-{tightest}")
    following = LEVELS[(LEVELS.index(tightest) + 1) % len(LEVELS)]
    path = Path(cluster.admin, f"tight-{tightest}", {**dict.fromkeys(LEVELS, WIDE), tightest: TIGHTEST, following: NEXT})

    for level, limit in ((tightest, TIGHTEST), (following, NEXT)):
        ends = spend(cluster.nodes, path.key, f"by-{tightest}", SPENT[level])
        cluster.provider.wait_until_idle()
        assert "ok" in ends, ends
        bill = (len(cluster.provider.entries(model)), cluster.provider.billed_tokens(model))
        assert bill[0] == limit, f"{bill[0]} requests through the {limit} of the {level}"
        eventually(lambda: path.used() == dict.fromkeys(LEVELS, bill), what=f"the bill {bill} on every level")
        path.raise_limit(level, WIDE)
