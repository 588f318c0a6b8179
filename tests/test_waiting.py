"""Requests that wait in the budget line: who they are and what they are charged to is what is so when they leave it."""

import contextlib
import itertools
import json
import socket
import threading

import httpx
import pytest

from support.canned import HANG, Canned, whole
from support.cluster import Cluster
from support.metrics import metric
from support.provider import OwnProvider
from support.wait import eventually

GONE = 'quorate_requests_total{result="ClientGone"}'
MESSAGES = [{"role": "user", "content": "hello"}]
# Whoever waits here waits until the test lets the budget go: no test is a race against patience.
CONFIG = "[limits]\nbudget_wait_ms = 60000\n"
NUMBERS = itertools.count()
FAILED = {"error": {"message": "no", "type": "server_error", "param": None, "code": None}}


class World:
    """Three nodes, a provider with a bill, and one that answers when it is told to."""

    def __init__(self, folder):
        config = folder / "own.toml"
        config.write_text(CONFIG)
        self.cluster = Cluster(folder, config=config)
        self.node = self.cluster.nodes[-1]
        self.admin = self.node.admin
        self.provider = OwnProvider(folder, "provider")
        for model in ("chat", "another"):
            self.admin.serve(model, self.provider.url)
            self.here(f"/routes/{model}")

    def team(self, name, limit=1):
        """A team with a budget of so many requests."""
        self.admin.call("POST", "/organisations", {"name": name})
        self.admin.call("POST", "/teams", {"name": name, "organisation": name})
        return self.budget(f"team:{name}", limit)

    def budget(self, subject, limit, unit="requests"):
        return self.admin.call("POST", "/budgets", {"subject": subject, "unit": unit, "limit": limit})

    def key(self, team, **fields):
        return self.admin.key(owner={"organisation": team, "team": team}, **fields)

    def post(self, key, model, **headers):
        headers["authorization"] = f"Bearer {key['secret']}"
        body = {"model": model, "messages": MESSAGES}
        return httpx.post(f"{self.node.client_url}/v1/chat/completions", json=body, headers=headers, timeout=90)

    def here(self, path):
        """After this the node that requests are sent to knows what was changed: what it shows is never old."""
        self.admin.get(path)

    def used(self, budget):
        return self.admin.explain(budget)["used"]

    def waiting(self, budget):
        return self.admin.explain(budget)["waiting"]

    def is_whole(self, budget):
        """Everything of the limit can be had: nothing is charged, reserved or waited for."""
        explained = self.admin.explain(budget)
        nothing = explained["used"] == explained["overrun"] == explained["waiting"] == 0
        return nothing and explained["granted"] + explained["free"] == explained["limit"]

    def stop(self):
        self.cluster.stop()
        self.provider.process.stop()


class Call(threading.Thread):
    """A request in the background."""

    def __init__(self, world, key, model="chat"):
        super().__init__()
        self.answer = None
        self.send = lambda: world.post(key, model)
        self.start()

    def run(self):
        self.answer = self.send()

    def ended(self):
        self.join(60)
        assert not self.is_alive(), "a request has no end"
        return self.answer


class Holder:
    """A request that holds its budget until it is let go; then it fails, and costs nothing."""

    def __init__(self, world, key, model):
        self.canned = Canned()
        self.canned.answer(f"{model}-0", HANG, whole(400, FAILED))
        world.admin.serve(model, self.canned.url)
        world.here(f"/routes/{model}")
        self.call = Call(world, key, model)
        eventually(lambda: self.canned.asked(f"{model}-0") == 1, what="a request that holds the budget")

    def let_go(self):
        self.canned.let_go()
        assert self.call.ended().status_code == 400

    def stop(self):
        self.canned.stop()
        self.call.ended()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("waiting"))
    yield world
    world.stop()


@pytest.fixture(autouse=True)
def fresh(world):
    world.provider.reset()


@pytest.fixture
def held(world):
    """A team whose budget of one request is held: its name, its budget, and who holds it."""
    name = f"team-{next(NUMBERS)}"
    budget = world.team(name)
    holder = Holder(world, world.key(name), name)
    yield name, budget, holder
    holder.stop()


def in_line(world, budget, count=1):
    """Waits until so many stand in line at a budget."""
    eventually(lambda: world.waiting(budget) == count, what=f"{count} in line")


def told(answer):
    return answer.status_code, answer.json()["error"]["code"]


def revoked(world, key):
    world.admin.revoke(key)


def expired(world, key):
    write(world, key, expires_at="2020-01-01T00:00:00Z")


def rotated(world, key):
    world.admin.call("POST", f"/keys/{key['id']}/rotate", {"overlap_ms": 0})


def for_other_models(world, key):
    write(world, key, allowed_models=["another"])


def write(world, key, **fields):
    world.admin.call("PUT", f"/keys/{key['id']}", {"owner": key["owner"], **fields})


@pytest.mark.parametrize(
    "change, expected",
    [
        (revoked, (401, "invalid_api_key")),
        (expired, (401, "invalid_api_key")),
        (rotated, (401, "invalid_api_key")),
        (for_other_models, (403, "model_not_allowed")),
    ],
)
def test_a_key_that_is_no_longer_let_in_is_refused_as_on_arrival_and_gives_everything_back(world, held, change, expected):
    team, budget, holder = held
    key = world.key(team, budgets=[{"unit": "tokens", "limit": 100_000}])
    call = Call(world, key)
    in_line(world, budget)
    change(world, key)
    world.here(f"/keys/{key['id']}")
    holder.let_go()
    answer, on_arrival = call.ended(), world.post(key, "chat")
    assert told(answer) == told(on_arrival) == expected
    assert lasting(answer) == lasting(on_arrival)
    assert world.provider.entries() == []
    for each in (budget, world.admin.budget_of(key)):
        eventually(lambda each=each: world.is_whole(each), what="a budget that has everything back")


def test_who_is_still_let_in_is_served_and_charged_once(world, held):
    team, budget, holder = held
    call = Call(world, world.key(team))
    in_line(world, budget)
    holder.let_go()
    assert call.ended().status_code == 200
    assert len(world.provider.entries()) == 1
    eventually(lambda: world.used(budget) == 1, what="one request in the ledger")


def check_charged_on_both(world, call, held, new):
    """A request in line is served, and charged on the budget that it waited for and on one that came meanwhile."""
    _, budget, holder = held
    world.here(f"/budgets/{new['id']}")
    holder.let_go()
    assert call.ended().status_code == 200
    assert len(world.provider.entries()) == 1
    eventually(lambda: (world.used(new), world.used(budget)) == (1, 1), what="one request on both budgets")


def test_a_budget_made_anew_while_a_request_waits_is_charged(world, held):
    team, budget, _ = held
    key = world.key(team, budgets=[{"unit": "requests", "limit": 10}])
    call = Call(world, key)
    in_line(world, budget)
    world.admin.call("DELETE", f"/budgets/{world.admin.budget_of(key)['id']}")
    anew = world.budget(f"key:{key['id']}", 10)
    check_charged_on_both(world, call, held, anew)


def test_a_budget_added_while_a_request_waits_is_charged(world, held):
    team, budget, _ = held
    call = Call(world, world.key(team))
    in_line(world, budget)
    added = world.budget(f"org:{team}", 10)
    check_charged_on_both(world, call, held, added)


def test_a_budget_added_while_a_request_waits_can_refuse_it(world, held):
    team, budget, holder = held
    call = Call(world, world.key(team))
    in_line(world, budget)
    added = world.budget(f"org:{team}", 1, unit="tokens")
    world.here(f"/budgets/{added['id']}")
    holder.let_go()
    assert told(call.ended()) == (429, "request_exceeds_budget")
    assert world.provider.entries() == []
    eventually(lambda: world.is_whole(budget) and world.is_whole(added), what="budgets that have everything back")


def test_a_client_may_say_that_it_does_not_wait(world, held):
    team, _, holder = held
    answer = world.post(world.key(team), "chat", **{"x-quorate-max-wait-ms": "0"})
    assert told(answer) == (429, "budget_held")
    assert holder.call.is_alive()


def test_a_client_that_hangs_up_leaves_the_line_at_once_and_is_never_sent(world, held):
    team, budget, holder = held
    key = world.key(team, budgets=[{"unit": "requests", "limit": 10}])
    gone = metric(world.node, GONE)
    with impatient(world, key):
        in_line(world, budget)
    in_line(world, budget, 0)
    eventually(lambda: metric(world.node, GONE) == gone + 1, what="a request that counts as hung up")
    assert holder.call.is_alive()
    eventually(lambda: world.is_whole(world.admin.budget_of(key)), what="a budget that has everything back")
    holder.let_go()
    eventually(lambda: world.is_whole(budget), what="a budget that has everything back")
    # It would have come before this one.
    assert world.post(key, "chat").status_code == 200
    assert len(world.provider.entries()) == 1


def test_who_waits_behind_a_client_that_hangs_up_takes_its_turn(world, held):
    team, budget, holder = held
    key = world.key(team)
    with impatient(world, key):
        in_line(world, budget)
        behind = Call(world, key)
        in_line(world, budget, 2)
    in_line(world, budget, 1)
    holder.let_go()
    assert behind.ended().status_code == 200
    assert len(world.provider.entries()) == 1


@contextlib.contextmanager
def impatient(world, key):
    """A client that sends a request and hangs up at the end."""
    host, port = world.node.client_url.removeprefix("http://").split(":")
    body = json.dumps({"model": "chat", "messages": MESSAGES}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key['secret']}\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(head.encode() + f"content-length: {len(body)}\r\n\r\n".encode() + body)
        yield


def lasting(answer):
    """What two equal answers have in common."""
    return answer.json(), {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
