"""A budget worth ten requests on each kind of subject, and fifty at once over three nodes: ten are billed (G1, G2)."""

import asyncio
import itertools

import httpx
import pytest

from support.command import done, shown
from support.load import HELD, SPENT, one, spread
from support.wait import eventually

WORTH, AT_ONCE, REPETITIONS = 10, 50, 20
ROUTE = "chat"
REFUSED = {
    "team": "429 project_spend_limit_exceeded",
    "org": "429 organization_spend_limit_exceeded",
}
KINDS = ["org", "team", "user", "key", "key on a route", "tag", "tag of a request", "end user"]
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
        header = {"tag of a request": "x-quorate-tags", "end user": "x-quorate-end-user"}.get(kind)
        return {"extra_headers": {header: self.name}} if header else {}

    def subject(self, kind):
        by_key = {"key": f"key:{self.key['id']}", "key on a route": f"key:{self.key['id']}/model:{ROUTE}"}
        by_key["tag"] = by_key["tag of a request"] = f"tag:{self.name}"
        by_key["end user"] = f"end-user:{self.name}/{self.name}"
        return by_key.get(kind, f"{kind}:{self.name}")


def limit(admin, subject, **fields):
    return admin.call("POST", "/budgets", {"subject": subject, "unit": "requests", "limit": WORTH, **fields})


def spend(cluster, model, tenant, kind, **says):
    """Fifty at once, each of which costs all it reserves: how they ended, and how many were billed."""
    cluster.provider.reset()
    for node in cluster.nodes:
        node.admin.get("/keys")
    clients = [node.async_sdk(tenant.key) for node in cluster.nodes]
    ends = asyncio.run(spread(clients, ROUTE, AT_ONCE, **says or tenant.says(kind)))
    cluster.provider.wait_until_idle()
    assert set(ends) <= {"ok", HELD, REFUSED.get(kind, SPENT)}, ends
    return ends["ok"], len(cluster.provider.entries(model))


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


def test_fifty_at_once_of_an_end_user_whom_no_node_has_seen_are_ten(cluster, model):
    """The first sight is a race of three nodes, twenty times."""
    tenant = Tenant(cluster.admin, "end user")
    limit(cluster.admin, f"end-user:{tenant.name}/*")
    for number in range(REPETITIONS):
        assert spend(cluster, model, tenant, "end user", user=f"u-{number}") == (WORTH, WORTH)
    (template,) = cluster.admin.items(f"/budgets?subject=end-user:{tenant.name}/*")
    assert (template["end_users"], template["used"]) == (REPETITIONS, 0)
    (made,) = cluster.admin.items(f"/budgets?subject=end-user:{tenant.name}/u-0")
    assert made["made_from"] == template["id"]
    eventually(lambda: cluster.admin.explain(made)["used"] == WORTH, what="all that was spent is reported")


def test_one_end_user_is_limited_by_himself_and_a_budget_of_his_own_beats_the_default(cluster, model):
    tenant = Tenant(cluster.admin, "end user")
    template = limit(cluster.admin, f"end-user:{tenant.name}/*")
    limit(cluster.admin, f"end-user:{tenant.name}/rich", limit=AT_ONCE)
    before = len(cluster.provider.entries(model))
    clients = [node.async_sdk(tenant.key) for node in cluster.nodes]

    async def all_at_once():
        rich = spread(clients, ROUTE, AT_ONCE, extra_body={"safety_identifier": "rich"}, user="poor")
        poor = spread(clients, ROUTE, AT_ONCE, user="poor")
        return await asyncio.gather(rich, poor)

    rich, poor = asyncio.run(all_at_once())
    cluster.provider.wait_until_idle()
    assert (rich, poor["ok"]) == ({"ok": AT_ONCE}, WORTH)
    assert len(cluster.provider.entries(model)) - before == AT_ONCE + WORTH
    cluster.admin.call("PUT", f"/budgets/{template['id']}", {"limit": 2 * WORTH})
    assert spend(cluster, model, tenant, "end user", user="poor")[0] == WORTH, "the template's limit is everybody's"


def test_a_new_end_user_with_each_request_is_refused_beyond_the_bound_and_known_ones_are_served(cluster, model):
    tenant = Tenant(cluster.admin, "end user")
    limit(cluster.admin, f"end-user:{tenant.name}/*", end_users_max=5)
    refused = "429 too_many_end_users"

    async def ask(users):
        clients = [node.async_sdk(tenant.key) for node in cluster.nodes]
        return await asyncio.gather(*(one(clients[at % 3], ROUTE, user=user) for at, user in enumerate(users)))

    ends = asyncio.run(ask([f"u-{number}" for number in range(AT_ONCE)]))
    assert (ends.count("ok"), ends.count(refused)) == (5, AT_ONCE - 5), ends
    known = f"u-{ends.index('ok')}"
    assert set(asyncio.run(ask([known] * 3))) == {"ok"}
    (template,) = cluster.admin.items(f"/budgets?subject=end-user:{tenant.name}/*")
    assert (template["end_users"], template["end_users_max"]) == (5, 5)


def test_end_users_are_in_no_log_and_no_metric(cluster, model):
    tenant = Tenant(cluster.admin, "end user")
    limit(cluster.admin, f"end-user:{tenant.name}/*", limit=1)
    limit(cluster.admin, f"end-user:{tenant.name}/secret-of-ann", unit="tokens", limit=100_000)
    for node in cluster.nodes:
        ends = [asyncio.run(one(node.async_sdk(tenant.key), ROUTE, user="secret-of-ann")) for _ in range(2)]
        assert set(ends) & {SPENT, HELD}, ends
        assert "secret-of-ann" not in httpx.get(f"{node.admin_url}/metrics").text
    logs = [path.read_text() for path in cluster.folder.glob("data/node-*/log.jsonl")]
    assert any(f"end-user:{tenant.name}/***" in log for log in logs)
    assert not any("secret-of-ann" in log for log in logs)
    listed = {budget["subject"] for budget in cluster.admin.items("/budgets")}
    assert f"end-user:{tenant.name}/*" in listed


def test_the_command_line_knows_every_subject(cluster):
    tenant = Tenant(cluster.admin, "end user")
    fields = ["--tag", "prod", "--request-tag", "batch", "--request-tag", "eval", "--end-user", "required"]
    key = shown(cluster, "key", "create", "--organisation", tenant.name, *fields)
    assert (key["tags"], key["request_tags"], key["end_user"]) == (["prod"], ["batch", "eval"], "required")
    key = shown(cluster, "key", "set", key["id"], "--request-tag", "-")
    assert (key["tags"], key["request_tags"], key["end_user"]) == (["prod"], [], "required")
    subjects = [f"key:{key['id']}/model:gpt-4o", "tag:prod", f"end-user:{tenant.name}/a+b&c"]
    for subject in subjects:
        created = shown(cluster, "budget", "create", subject, "5 requests/day")
        assert f"budget {created['id']} of {subject}: of 5 requests" in done(cluster, "budget", "explain", subject)
    everybody = f"end-user:{tenant.name}/*"
    template = shown(cluster, "budget", "create", everybody, "$1/day", "--end-users-max", 7)
    assert shown(cluster, "budget", "set", template["id"], "--end-users-max", 8)["end_users_max"] == 8
    assert "no more than 8 may" in done(cluster, "budget", "explain", everybody)


def test_without_a_quorum_a_known_end_user_is_served_by_his_grant_and_an_unknown_one_waits_for_it(own_cluster):
    model = own_cluster.serve(ROUTE)
    own_cluster.admin.call("POST", "/organisations", {"name": "acme"})
    limit(own_cluster.admin, "end-user:acme/*", limit=1_000)
    key = own_cluster.admin.key(owner={"organisation": "acme"}, without_quorum="grant_only")
    alone, *others = own_cluster.nodes
    alone.admin.get("/keys")
    asks = lambda user: asyncio.run(one(alone.async_sdk(key), ROUTE, user=user))  # noqa: E731
    assert asks("known") == "ok"
    for node in others:
        node.kill()
    assert asks("unknown") == "503 quota_unavailable"
    assert asks("known") == "ok"
    assert len(own_cluster.provider.entries(model)) == 2, "nobody is let through without the budget"
