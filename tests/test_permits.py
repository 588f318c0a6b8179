"""Budgets of permits: how many requests of a subject run at the same time, in the whole cluster, as the provider sees it."""

import asyncio
import itertools
import threading

import httpx
import openai
import pytest

from support.canned import HANG, Canned, whole
from support.cluster import Cluster
from support.load import spread
from support.provider import OwnProvider
from support.wait import eventually

# Whoever waits for a permit waits until there is one: no test is a race against patience.
CONFIG = "[limits]\nbudget_wait_ms = 60000\n"
LIMIT = 5
MESSAGES = [{"role": "user", "content": "hello"}]
NUMBERS = itertools.count()


class World:
    """Three nodes, and teams with budgets of permits."""

    def __init__(self, folder):
        config = folder / "own.toml"
        config.write_text(CONFIG)
        self.folder = folder
        self.cluster = Cluster(folder, config=config)

    @property
    def admin(self):
        return self.cluster.admin

    def team(self, limit=LIMIT):
        """A team that may run so many requests at once: its budget, and two keys of it."""
        name = f"team-{next(NUMBERS)}"
        self.admin.call("POST", "/organisations", {"name": name})
        self.admin.call("POST", "/teams", {"name": name, "organisation": name})
        budget = {"subject": f"team:{name}", "unit": "permits", "limit": limit}
        budget = self.admin.call("POST", "/budgets", budget)
        keys = [self.admin.key(owner={"organisation": name, "team": name}) for _ in range(2)]
        for node in self.cluster.nodes:
            node.admin.get("/budgets")
        return budget, keys

    def wait_for_all_back(self, budget):
        """Every permit is free or with a live node, and no request runs any more."""

        def all_back():
            explained = self.admin.explain(budget)
            assert explained["used"] == 0, "a permit is never spent"
            return explained["free"] + explained["granted"] == LIMIT and explained["in_doubt"] == 0

        eventually(all_back, 30, "all permits back")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("permits"))
    yield world
    world.cluster.stop()


@pytest.fixture
def provider(world, tmp_path):
    """A provider whose counts are of one test, behind a route of its own."""
    provider = OwnProvider(tmp_path, "provider")
    provider.route = f"chat-{next(NUMBERS)}"
    world.admin.serve(provider.route, provider.url)
    for node in world.cluster.nodes:
        node.admin.get("/routes")
    yield provider
    provider.process.stop()


def clients(world, keys):
    return [node.async_sdk(key, timeout=120) for node in world.cluster.nodes for key in keys]


def run_all_at_once(world, keys, provider):
    """So many requests as there are permits run at the same time, on any nodes: none was lost."""
    provider.behave(latency_ms=600_000)
    ends = threading.Event()

    def one(node, key):
        client = httpx.Client(base_url=node.client_url, timeout=None)
        headers = {"authorization": f"Bearer {key['secret']}"}
        body = {"model": provider.route, "messages": MESSAGES, "stream": True}
        with client, client.stream("POST", "/v1/chat/completions", json=body, headers=headers):
            ends.wait()

    pairs = itertools.islice(itertools.cycle(itertools.product(world.cluster.nodes, keys)), LIMIT)
    threads = [threading.Thread(target=one, args=pair, daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    eventually(lambda: provider.stats()["concurrent"] == LIMIT, 30, f"{LIMIT} requests at the same time")
    provider.process.stop()
    ends.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


async def cancelled(client, model, number):
    """A request whose client hangs up: in line, before the answer or in its middle."""
    call = client.chat.completions.create(model=model, messages=MESSAGES, stream=number % 2 == 0)
    try:
        answer = await asyncio.wait_for(call, timeout=0.02 * (number % 10))
        if number % 2 == 0:
            await anext(aiter(answer))
            await answer.close()
    except (TimeoutError, openai.APIError):
        pass


@pytest.mark.timeout(240)
def test_never_more_requests_than_permits_run_at_once_over_three_nodes(world, provider):
    budget, keys = world.team()
    provider.behave(latency_ms=20, chunk_delay_ms=5)

    async def whole_and_streams():
        together = [spread(clients(world, keys), provider.route, 25) for _ in range(4)]
        return [*await asyncio.gather(*together), await streamed(clients(world, keys), provider.route, 50)]

    ends = asyncio.run(whole_and_streams())
    assert all(set(end) == {"ok"} for end in ends), ends
    counts = provider.stats()
    assert counts["requests"] == 150
    assert counts["peak"] == LIMIT, f"I11: {counts}"
    provider.wait_until_idle()
    world.wait_for_all_back(budget)
    run_all_at_once(world, keys, provider)


async def streamed(clients, model, count):
    async def one(client):
        stream = await client.chat.completions.create(model=model, messages=MESSAGES, stream=True)
        chunks = [chunk async for chunk in stream]
        return "ok" if chunks else "empty"

    return set(await asyncio.gather(*(one(clients[number % len(clients)]) for number in range(count))))


@pytest.mark.timeout(240)
def test_no_permit_is_lost_with_two_hundred_requests_whose_clients_hang_up(world, provider):
    budget, keys = world.team()
    provider.behave(latency_ms=30, chunk_delay_ms=5)

    async def all_of_them():
        open_clients = clients(world, keys)
        calls = (cancelled(open_clients[n % len(open_clients)], provider.route, n) for n in range(200))
        await asyncio.gather(*calls)

    asyncio.run(all_of_them())
    provider.wait_until_idle()
    assert provider.stats()["peak"] <= LIMIT, f"I11: {provider.stats()}"
    world.wait_for_all_back(budget)
    run_all_at_once(world, keys, provider)


@pytest.mark.timeout(240)
def test_permits_of_a_node_that_was_killed_come_back_when_it_is_there_again(world, provider):
    budget, keys = world.team()
    killed = world.cluster.nodes[2]
    provider.behave(latency_ms=600_000)
    body = {"model": provider.route, "messages": MESSAGES, "stream": True}
    headers = {"authorization": f"Bearer {keys[0]['secret']}"}

    def hang():
        with pytest.raises(httpx.HTTPError):
            httpx.post(f"{killed.client_url}/v1/chat/completions", json=body, headers=headers, timeout=None)

    threads = [threading.Thread(target=hang, daemon=True) for _ in range(LIMIT)]
    for thread in threads:
        thread.start()
    eventually(lambda: provider.stats()["concurrent"] == LIMIT, 30, "all permits in use on one node")
    killed.kill()
    for thread in threads:
        thread.join(30)
    explained = world.admin.explain(budget)
    assert explained["free"] == 0, f"they are not handed out while nobody knows that they are free: {explained}"
    killed.start_again()
    killed.wait_until_ready()
    eventually(lambda: world.admin.explain(budget)["free"] == LIMIT, 30, "all permits free")
    provider.wait_until_idle()
    run_all_at_once(world, keys, provider)


@pytest.mark.timeout(120)
def test_who_waits_for_a_permit_is_told_so_or_has_it_when_a_request_ends(world):
    _, (key, _) = world.team(limit=1)
    canned = Canned()
    route = f"chat-{next(NUMBERS)}"
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    answer = {"id": "1", "object": "chat.completion", "model": "m", "choices": [], "usage": usage}
    for number in (0, 1):
        # The first target fails, the second waits to be let go: the permit is kept from the one to the other.
        world.admin.provider(f"{route}-{number}", canned.url)
        world.admin.model(f"{route}-{number}", f"{route}-{number}")
    world.admin.route(route, f"{route}-0", f"{route}-1", strategy="ordered")
    canned.answer(f"{route}-0", whole(500, {"error": {"message": "no"}}))
    canned.answer(f"{route}-1", HANG, whole(200, answer))
    here, there = world.cluster.nodes[0], world.cluster.nodes[1]
    for node in (here, there):
        node.admin.get("/routes")

    def post(node, **headers):
        headers["authorization"] = f"Bearer {key['secret']}"
        body = {"model": route, "messages": MESSAGES}
        return httpx.post(f"{node.client_url}/v1/chat/completions", json=body, headers=headers, timeout=90)

    ends = []
    first = threading.Thread(target=lambda: ends.append(post(here).status_code))
    first.start()
    eventually(lambda: canned.asked(f"{route}-1") == 1, 30, "a request that runs")
    refused = post(there, **{"x-quorate-max-wait-ms": "0"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_held")
    assert "the request needs 1 of 1 permits" in refused.json()["error"]["message"]
    second = threading.Thread(target=lambda: ends.append(post(there).status_code))
    second.start()
    canned.let_go()
    first.join(60)
    second.join(60)
    assert ends == [200, 200]
    assert post(here).status_code == 200, "a client that has its answer finds its permit free"
    canned.stop()


@pytest.mark.timeout(120)
def test_a_permit_is_kept_between_the_attempts_of_a_request(world):
    budget, (key, _) = world.team(limit=1)
    canned = Canned()
    first, second = (f"chat-{next(NUMBERS)}" for _ in range(2))
    failure = whole(503, {"error": {"message": "no"}}, retry_after=1)
    canned.answer(f"{first}-0", HANG, failure)
    canned.answer(f"{second}-0", failure)
    for route in (first, second):
        world.admin.serve(route, canned.url)
    node = world.cluster.nodes[0]
    node.admin.get("/routes")

    def post(route):
        headers = {"authorization": f"Bearer {key['secret']}"}
        body = {"model": route, "messages": MESSAGES}
        return httpx.post(f"{node.client_url}/v1/chat/completions", json=body, headers=headers, timeout=90)

    threads = [threading.Thread(target=post, args=(route,)) for route in (first, second)]
    threads[0].start()
    eventually(lambda: canned.asked(f"{first}-0") == 1, 30, "a request that runs")
    threads[1].start()
    eventually(lambda: world.admin.explain(budget)["waiting"] == 1, 30, "a request in line")
    canned.let_go()
    for thread in threads:
        thread.join(60)
    attempts = canned.asked(f"{first}-0")
    assert attempts > 1
    assert canned.order() == [f"{first}-0"] * attempts + [f"{second}-0"] * canned.asked(f"{second}-0")
    canned.stop()
