"""A budget worth ten requests on each kind of subject, and fifty at once over three nodes: ten are billed (G1, G2)."""

import asyncio
import itertools

import pytest

from support.load import HELD, SPENT, spread

WORTH, AT_ONCE, REPETITIONS = 10, 50, 20
ROUTE = "chat"
REFUSED = {
    "team": "429 project_spend_limit_exceeded",
    "org": "429 organization_spend_limit_exceeded",
}
KINDS = ["org", "team", "user", "key", "key on a route", "tag", "tag of a request"]
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def model(cluster):
    return cluster.serve(ROUTE)


class Tenant:
    """Somebody new: a key of a new user, of a new team, of a new organisation."""

    def __init__(self, admin, kind):
        self.name = f"tenant-{next(NUMBERS)}"
        admin.call("POST", "/organisations", {"name": self.name})
        admin.call("POST", "/teams", {"name": self.name, "organisation": self.name})
        admin.call("POST", "/users", {"name": self.name})
        owner = {"organisation": self.name, "team": self.name, "user": self.name}
        tags = {"tags": [self.name]} if kind == "tag" else {"request_tags": [self.name]}
        self.key = admin.key(owner=owner, **tags)

    def says(self, kind):
        """What its requests say of themselves."""
        return {"extra_headers": {"x-quorate-tags": self.name}} if kind == "tag of a request" else {}

    def subject(self, kind):
        by_key = {"key": f"key:{self.key['id']}", "key on a route": f"key:{self.key['id']}/model:{ROUTE}"}
        by_key["tag"] = by_key["tag of a request"] = f"tag:{self.name}"
        return by_key.get(kind, f"{kind}:{self.name}")


def limit(admin, subject, **fields):
    return admin.call("POST", "/budgets", {"subject": subject, "unit": "requests", "limit": WORTH, **fields})


def spend(cluster, model, tenant, kind):
    """Fifty at once, each of which costs all it reserves: how they ended, and how many were billed."""
    before = len(cluster.provider.entries(model))
    for node in cluster.nodes:
        node.admin.get("/keys")
    clients = [node.async_sdk(tenant.key) for node in cluster.nodes]
    ends = asyncio.run(spread(clients, ROUTE, AT_ONCE, **tenant.says(kind)))
    cluster.provider.wait_until_idle()
    assert set(ends) <= {"ok", HELD, REFUSED.get(kind, SPENT)}, ends
    return ends["ok"], len(cluster.provider.entries(model)) - before


@pytest.mark.parametrize("kind", KINDS)
def test_fifty_at_once_on_a_budget_worth_ten_are_ten(cluster, model, kind):
    for _ in range(REPETITIONS):
        tenant = Tenant(cluster.admin, kind)
        limit(cluster.admin, tenant.subject(kind))
        assert spend(cluster, model, tenant, kind) == (WORTH, WORTH)


def test_a_budget_of_a_key_on_a_route_limits_it_on_no_other_route(cluster, model):
    cluster.serve("other")
    tenant = Tenant(cluster.admin, "key on a route")
    limit(cluster.admin, tenant.subject("key on a route"))
    assert spend(cluster, model, tenant, "key on a route") == (WORTH, WORTH)
    clients = [node.async_sdk(tenant.key) for node in cluster.nodes]
    assert asyncio.run(spread(clients, "other", AT_ONCE)) == {"ok": AT_ONCE}
