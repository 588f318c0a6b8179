"""Errors as clients get them, for each page in docs/errors: how to provoke it, its status, and who should do what."""

import contextlib
import http.client
import re
import socket
import threading
import time
import urllib.parse

import httpx
import pytest

from support.admin import TIMEOUTS
from support.doubt import dead_holding, holds_some, lose_journal
from support.processes import free_ports
from support.wait import eventually

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hello"}]
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
CASES = {}


def case(code, status, source, retry):
    """What follows provokes an error with this code, status, and words in `x-quorate-error-source` and `x-should-retry`."""

    def keep(provoke):
        CASES[provoke.__name__] = (provoke, (status, code, source, retry))
        return provoke

    return keep


class World:
    """Three nodes, a key that may do everything, and a route to a provider that behaves."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.url = cluster.nodes[0].client_url
        self.admin = cluster.admin
        self.key = self.admin.key()
        cluster.serve("chat")

    def send(self, method, path, key=None, **fields):
        headers = {"authorization": f"Bearer {(key or self.key)['secret']}"}
        return httpx.request(method, self.url + path, headers=headers, timeout=30, **fields)

    def ask(self, key=None, **fields):
        return self.send("POST", CHAT, key, json={"model": "chat", "messages": MESSAGES, **fields})

    def raw(self, body):
        return self.send("POST", CHAT, content=body)

    def route(self, name, **provider):
        """A route to a provider of its own, so that no other case is told that this one failed."""
        url = provider.pop("url", self.cluster.provider.url)
        self.admin.provider(name, url, **{"timeouts": TIMEOUTS, **provider})
        self.admin.model(name, name)
        self.admin.route(name, name)
        return name

    def budgeted(self, unit, limit):
        return self.admin.key(budgets=[{"unit": unit, "limit": limit}])


@pytest.fixture(scope="module")
def world(cluster):
    return World(cluster)


@case("missing_api_key", 401, "caller", "false")
def no_key(world):
    return httpx.post(world.url + CHAT, json={"model": "chat", "messages": MESSAGES})


@case("invalid_api_key", 401, "caller", "false")
def a_key_that_opens_nothing(world):
    return world.ask(key={"secret": "qk_nonsense"})


@case("model_not_allowed", 403, "caller", "false")
def a_model_that_the_key_may_not_use(world):
    return world.ask(key=world.admin.key(allowed_models=[world.route("allowed")]))


@case("model_not_found", 404, "caller", "false")
def a_model_that_is_not_there(world):
    return world.ask(model="nobody")


@case("unknown_url", 404, "caller", "false")
def a_path_that_is_not_there(world):
    return world.send("POST", "/v1/images/generations", json={})


@case("method_not_supported", 405, "caller", "false")
def a_method_that_the_path_does_not_take(world):
    return world.send("GET", CHAT)


@case("request_too_large", 413, "caller", "false")
def a_body_larger_than_allowed(world):
    return world.raw(b" " * ((32 << 20) + 1))


@case("unreadable_body", 400, "caller", "false")
def a_body_that_breaks_off(world):
    host, port = world.url.removeprefix("http://").split(":")
    head = f"host: a\r\nauthorization: Bearer {world.key['secret']}\r\ncontent-length: 100\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(f"POST {CHAT} HTTP/1.1\r\n{head}{{".encode())
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(65_536), b"")).decode()
    head, body = answer.split("\r\n\r\n")
    first, *lines = head.split("\r\n")
    return httpx.Response(int(first.split()[1]), headers=[line.split(": ", 1) for line in lines], content=body)


@case("invalid_utf8", 400, "caller", "false")
def a_body_that_is_no_text(world):
    return world.raw(b'{"model": "chat", "messages": [{"role": "user", "content": "\xff"}]}')


@case("invalid_json", 400, "caller", "false")
def a_body_that_is_no_json(world):
    return world.raw(b"hello")


@case("invalid_header", 400, "caller", "false")
def a_header_that_is_no_number(world):
    headers = {"authorization": f"Bearer {world.key['secret']}", "x-quorate-max-wait-ms": "soon"}
    return httpx.post(world.url + CHAT, json={"model": "chat", "messages": MESSAGES}, headers=headers)


@case("tag_not_allowed", 403, "caller", "false")
def a_tag_that_is_for_others(world):
    headers = {"authorization": f"Bearer {world.key['secret']}", "x-quorate-tags": "others"}
    return httpx.post(world.url + CHAT, json={"model": "chat", "messages": MESSAGES}, headers=headers)


@case("end_user_required", 400, "caller", "false")
def nobody_is_named_where_somebody_must_be(world):
    return world.ask(key=world.admin.key(end_user="required"))


@case("invalid_end_user", 400, "caller", "false")
def an_end_user_with_a_space(world):
    return world.ask(key=world.admin.key(end_user="required"), user="Ann from next door")


@case("too_many_end_users", 429, "caller", "false")
def one_end_user_too_many(world):
    name = "crowded"
    world.admin.call("POST", "/organisations", {"name": name})
    budget = {"subject": f"end-user:{name}/*", "unit": "requests", "limit": 5, "end_users_max": 1}
    world.admin.call("POST", "/budgets", budget)
    key = world.admin.key(owner={"organisation": name})
    assert world.ask(key, user="first").status_code == 200
    return world.ask(key, user="second")


@case("json_too_deep", 400, "caller", "false")
def a_body_nested_without_end(world):
    return world.raw(b'{"model": "chat", "messages": [], "x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}")


@case("duplicate_field", 400, "caller", "false")
def a_field_that_stands_twice(world):
    return world.raw(b'{"model": "chat", "model": "chat", "messages": []}')


@case("missing_required_parameter", 400, "caller", "false")
def a_field_that_is_missing(world):
    return world.raw(b'{"model": "chat"}')


@case("invalid_type", 400, "caller", "false")
def a_field_of_the_wrong_type(world):
    return world.ask(max_tokens="many")


@case("unbounded_cost", 400, "caller", "false")
def an_image_on_a_hard_budget(world):
    messages = [{"role": "user", "content": [{"type": "text", "text": "what is this?"}, IMAGE]}]
    return world.ask(key=world.budgeted("tokens", 1_000_000), messages=messages)


@case("unsupported_service_tier", 400, "caller", "false")
def a_tier_with_prices_of_its_own(world):
    return world.ask(service_tier="priority")


@case("request_exceeds_budget", 429, "caller", "false")
def a_request_larger_than_its_budget(world):
    return world.ask(key=world.budgeted("tokens", 1))


@case("credit_balance_exhausted", 429, "caller", "false")
def a_budget_that_is_spent(world):
    key = world.budgeted("requests", 1)
    assert world.ask(key).status_code == 200
    return world.ask(key)


@case("rate_limit_exceeded", 429, "caller", "true")
def a_bucket_that_is_empty(world):
    key = world.admin.key(budgets=[{"unit": "requests", "bucket": "hour", "limit": 1}])
    assert world.ask(key).status_code == 200
    return world.ask(key)


@case("budget_held", 429, "caller", "true")
def a_budget_that_a_request_in_flight_holds(world):
    key = world.budgeted("requests", 1)
    held = world.route("held")
    world.cluster.provider.behave(hang=True)

    def hold():
        # Nobody waits for its answer.
        with contextlib.suppress(httpx.HTTPError):
            headers = {"authorization": f"Bearer {key['secret']}"}
            httpx.post(world.url + CHAT, json={"model": held, "messages": MESSAGES}, headers=headers, timeout=5)

    holder = threading.Thread(target=hold)
    holder.start()
    eventually(lambda: world.cluster.provider.stats()["concurrent"] == 1, what="a request in flight")
    answer = world.ask(key)
    assert answer.headers["retry-after"] == "1"
    holder.join()
    return answer


@case("no_usable_provider", 502, "gateway", "true")
def a_credential_that_this_node_does_not_have(world):
    return world.ask(model=world.route("unset", credential="${env:QUORATE_TEST_UNSET}"))


@case("provider_unreachable", 502, "provider", "true")
def a_provider_that_is_not_there(world):
    (port,) = free_ports(1)
    return world.ask(model=world.route("gone", url=f"http://127.0.0.1:{port}"))


@case("provider_unreachable", 502, "provider", "false")
def a_provider_that_breaks_off(world):
    world.cluster.provider.behave(cut_after_chunks=1)
    return world.ask(model=world.route("cut"))


@case("provider_timeout", 504, "provider", "false")
def a_provider_that_does_not_answer(world):
    world.cluster.provider.behave(hang=True)
    return world.ask(model=world.route("hanging", timeouts={**TIMEOUTS, "first_byte_ms": 300}))


@case("provider_credentials_refused", 502, "gateway", "false")
def a_provider_that_does_not_know_us(world):
    world.cluster.provider.behave(accepts_key="another")
    return world.ask(model=world.route("stranger"))


@case("provider_bad_answer", 502, "provider", "false")
def a_provider_that_redirects(world):
    world.cluster.provider.behave(error_rate=1, error_status=302)
    return world.ask(model=world.route("redirecting"))


def told(answer):
    """Status, code, who has to act, and whether to try again; the rest of the body's form is OpenAI's."""
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"] and error["type"]
    assert answer.headers["content-type"] == "application/json"
    headers = answer.headers
    return answer.status_code, error["code"], headers["x-quorate-error-source"], headers["x-should-retry"]


@pytest.mark.parametrize("provoke, expected", CASES.values(), ids=CASES.keys())
def test_each_error_says_who_has_to_act_and_whether_to_try_again(world, provoke, expected):
    answer = provoke(world)
    assert told(answer) == expected
    assert answer.headers.get("www-authenticate") == ("Bearer" if answer.status_code == 401 else None)


def refused_by(node, key):
    """The first answer that is not 200."""
    headers = {"authorization": f"Bearer {key['secret']}"}
    body = {"model": "chat", "messages": MESSAGES}

    def ask():
        answer = httpx.post(node.client_url + CHAT, json=body, headers=headers, timeout=30)
        return answer if answer.status_code != 200 else None

    return eventually(ask, 60, "a refusal")


@pytest.mark.timeout(240)
def test_what_a_node_holds_that_does_not_answer_is_named_and_keeps_nobody_waiting_for_a_denial(own_cluster):
    own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": 40}])
    dead, asked, other = own_cluster.nodes[2], own_cluster.nodes[0], own_cluster.nodes[1]
    holds_some(own_cluster, dead, key)
    dead.kill()
    for node in (asked, other, asked, other):
        answer = refused_by(node, key)
        assert told(answer) == (429, "budget_held", "caller", "true")
        assert re.search(r"; \d+ are with nodes that died or do not answer", answer.json()["error"]["message"])


@pytest.mark.timeout(240)
def test_what_a_node_held_that_came_back_without_its_journal_is_in_doubt(own_cluster):
    own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": 40}])
    dead, asked = own_cluster.nodes[2], own_cluster.nodes[0]
    budget = holds_some(own_cluster, dead, key)
    lose_journal(own_cluster, dead)
    in_doubt = dead_holding(own_cluster, budget)["outstanding"]
    answer = refused_by(asked, key)
    assert told(answer) == (429, "budget_in_doubt", "gateway", "false")
    assert f"; {in_doubt} are with nodes that died or do not answer" in answer.json()["error"]["message"]


@pytest.mark.timeout(240)
def test_errors_of_a_node_without_a_quorum_say_that_another_one_may_answer(own_cluster):
    own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "tokens", "limit": 10_000}])
    survivor, *others = own_cluster.nodes
    for node in others:
        node.kill()
    headers = {"authorization": f"Bearer {key['secret']}"}

    def ask():
        body = {"model": "chat", "messages": MESSAGES}
        with contextlib.suppress(httpx.TransportError):
            return httpx.post(survivor.client_url + CHAT, json=body, headers=headers, timeout=30)

    answer = ask()
    assert told(answer) == (503, "quota_unavailable", "gateway", "true")
    assert answer.headers["retry-after"] == "1"

    survivor.kill()
    survivor.start_again()
    without_session = eventually(ask, 30, "a node that answers, though it has no session with the ledger")
    assert told(without_session) == (503, "not_ready", "gateway", "true")
    assert without_session.headers["retry-after"] == "1"


def test_a_request_that_is_refused_before_its_body_is_there_does_not_cost_the_connection(cluster):
    url = urllib.parse.urlsplit(cluster.nodes[0].client_url)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {url.netloc}\r\nauthorization: Bearer nobody\r\ncontent-length: 2\r\n\r\n"
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        for _ in range(3):
            connection.sendall(head.encode())
            # The node has the head before the body: were it to answer now, the connection would be of no use any more.
            time.sleep(0.1)
            connection.sendall(b"{}")
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.status == 401
            answer.read()
