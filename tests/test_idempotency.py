"""Requests with an `Idempotency-Key`: executed once in the whole cluster, whoever asks again, wherever and whenever (I14)."""

import asyncio
import itertools
import os
import signal
import threading

import httpx
import openai
import pytest

from support.cluster import Cluster
from support.command import done
from support.metrics import metric
from support.processes import free_ports
from support.provider import OwnProvider
from support.wait import eventually

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "once"}]
REPLAY = "x-quorate-idempotent-replay"
NO_PATIENCE = {"x-quorate-max-wait-ms": "0"}
NUMBERS = itertools.count()
KEPT_MS = 3_000
LARGEST = 4_096
SMALL = f"""
[limits]
idempotency_kept_ms = {KEPT_MS}
idempotent_response_bytes_max = {LARGEST}
idempotency_bytes_max = {4 * LARGEST}
idempotency_records_max = 8
"""


def fresh(word):
    return f"{word}-{next(NUMBERS)}"


def served(cluster, word, **fields):
    """A route of its own with an empty bill, and a key with a budget."""
    name = fresh(word)
    model = cluster.serve(name)
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": 1_000_000}], **fields)
    for node in cluster.nodes:
        node.admin.get("/keys")
    return name, model, key


def ask(node, key, model, text, headers=None, **fields):
    """Without the SDK, for what it does not show."""
    headers = {"authorization": f"Bearer {key['secret']}", "idempotency-key": text, **(headers or {})}
    body = {"model": model, "messages": MESSAGES, **fields}
    return httpx.post(node.client_url + CHAT, json=body, headers=headers, timeout=60)


def refused(answer):
    headers = answer.headers
    return answer.status_code, answer.json()["error"]["code"], headers["x-should-retry"], headers.get("retry-after")


KEY_REUSED = (422, "idempotency_key_reused", "false", None)
IN_FLIGHT = (409, "idempotency_in_flight", "true", "1")
UNKNOWN = (409, "idempotency_unknown", "false", None)
NOT_KEPT = (409, "idempotency_response_not_kept", "false", None)
FULL = (503, "idempotency_full", "true", "60")
UNAVAILABLE = (503, "idempotency_unavailable", "true", "1")


class Asked(threading.Thread):
    """A request in the background, and what came of it."""

    def __init__(self, *args, **fields):
        super().__init__(daemon=True)
        self.call, self.answer = (args, fields), None
        self.start()

    def run(self):
        args, fields = self.call
        try:
            self.answer = ask(*args, **fields)
        except httpx.HTTPError as error:
            self.answer = error

    def wait(self):
        self.join(60)
        assert not self.is_alive()
        return self.answer


def at_the_provider(provider, count=1):
    eventually(lambda: provider.stats()["concurrent"] == count, 30, f"{count} requests at the provider")


def says_the_bill(cluster, key, model):
    """The ledger has charged what was billed, once."""
    billed = cluster.provider.billed_tokens(model)
    budget = cluster.admin.budget_of(key)
    eventually(lambda: cluster.admin.explain(budget)["used"] == billed, what=f"a ledger that says {billed}")


def test_a_repeat_on_another_node_is_answered_byte_for_byte_and_charged_once(cluster):
    name, model, key = served(cluster, "whole")
    text = fresh("order")

    def sent(node):
        completions = node.sdk(key).chat.completions.with_raw_response
        return completions.create(model=name, messages=MESSAGES, extra_headers={"Idempotency-Key": text})

    first = sent(cluster.nodes[0])
    assert REPLAY not in first.headers
    for node in cluster.nodes:
        again = sent(node)
        assert again.headers[REPLAY] == "true" and again.content == first.content
        assert again.headers["content-type"] == first.headers["content-type"]
        assert again.parse().choices[0].message.content == first.parse().choices[0].message.content
    quoted = ask(cluster.nodes[1], key, name, f'"{text}"')
    assert quoted.content == first.content, "the draft's form of the same key"
    assert len(cluster.provider.entries(model)) == 1, "I14: one bill"
    says_the_bill(cluster, key, model)
    assert sum(metric(node, 'quorate_idempotent_requests_total{result="Replayed"}') for node in cluster.nodes) >= 4
    assert metric(cluster.nodes[2], "quorate_idempotent_records") >= 1
    assert metric(cluster.nodes[2], "quorate_idempotent_answers_bytes") >= len(first.content)


@pytest.mark.timeout(120)
def test_twenty_at_once_over_three_nodes_are_executed_once_and_all_get_that_answer(cluster):
    name, model, key = served(cluster, "join")
    cluster.provider.behave(latency_ms=700)
    text = fresh("order")

    async def all_at_once():
        clients = [node.async_sdk(key, timeout=60) for node in cluster.nodes]
        headers = {"Idempotency-Key": text}

        def one(client):
            create = client.chat.completions.with_raw_response.create
            return create(model=name, messages=MESSAGES, extra_headers=headers)

        return await asyncio.gather(*(one(clients[number % 3]) for number in range(20)))

    answers = asyncio.run(all_at_once())
    assert len({answer.content for answer in answers}) == 1
    assert sum(REPLAY not in answer.headers for answer in answers) == 1, "one was executed, nineteen joined"
    assert len(cluster.provider.entries(model)) == 1, "I14: one bill"
    says_the_bill(cluster, key, model)


def test_a_stream_is_replayed_as_one(cluster):
    name, model, key = served(cluster, "stream")
    cluster.provider.behave(chunks=7, chunk_delay_ms=5)
    text = fresh("order")
    fields = {"stream": True, "stream_options": {"include_usage": True}}
    first, again = (ask(cluster.nodes[number], key, name, text, **fields) for number in (0, 1))
    assert first.text.endswith("data: [DONE]\n\n")
    assert again.content == first.content and again.headers[REPLAY] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    options = {"model": name, "messages": MESSAGES, "extra_headers": {"Idempotency-Key": fresh("order")}, **fields}
    read = [list(node.sdk(key).chat.completions.create(**options)) for node in cluster.nodes]
    assert read[1] == read[2] == read[0] and read[0][-1].usage.total_tokens
    assert len(cluster.provider.entries(model)) == 2, "I14: one bill each"
    says_the_bill(cluster, key, model)


def test_another_request_under_the_key_is_refused_and_another_api_key_has_names_of_its_own(cluster):
    name, model, key = served(cluster, "reused")
    text = fresh("order")
    first = ask(cluster.nodes[0], key, name, text)
    assert first.status_code == 200
    assert refused(ask(cluster.nodes[1], key, name, text, max_tokens=7)) == KEY_REUSED
    other = cluster.admin.key()
    cluster.nodes[2].admin.get("/keys")
    theirs = ask(cluster.nodes[2], other, name, text)
    assert theirs.status_code == 200 and REPLAY not in theirs.headers
    assert len(cluster.provider.entries(model)) == 2


def test_another_end_user_or_other_tags_under_the_key_are_refused(cluster):
    name, model, key = served(cluster, "whose", request_tags=["batch", "eval"])
    text = fresh("order")
    end_user, tags = "x-quorate-end-user", "x-quorate-tags"
    first = ask(cluster.nodes[0], key, name, text, {end_user: "ann", tags: "batch,eval"})
    assert first.status_code == 200
    for others in ({end_user: "bob", tags: "batch,eval"}, {end_user: "ann", tags: "batch"}, {end_user: "ann"}, {}):
        for node in cluster.nodes:
            assert refused(ask(node, key, name, text, others)) == KEY_REUSED
    again = ask(cluster.nodes[1], key, name, text, {end_user: "ann", tags: "eval, batch"})
    assert (again.content, again.headers[REPLAY]) == (first.content, "true")
    assert len(cluster.provider.entries(model)) == 1, "I14: one bill"


def test_a_repeat_is_answered_although_its_end_user_would_be_one_too_many(cluster):
    name, model, _ = served(cluster, "crowded")
    organisation = fresh("crowd")
    cluster.admin.call("POST", "/organisations", {"name": organisation})
    key = cluster.admin.key(owner={"organisation": organisation})
    for node in cluster.nodes:
        node.admin.get("/keys")
    text = fresh("order")
    first = ask(cluster.nodes[0], key, name, text, user="ann")
    assert first.status_code == 200
    template = {"subject": f"end-user:{organisation}/*", "unit": "requests", "limit": 5, "end_users_max": 1}
    cluster.admin.call("POST", "/budgets", template)
    for node in cluster.nodes:
        node.admin.get("/keys")
    assert ask(cluster.nodes[0], key, name, fresh("order"), user="bob").status_code == 200
    for node in cluster.nodes:
        again = ask(node, key, name, text, user="ann")
        assert (again.content, again.headers.get(REPLAY)) == (first.content, "true")
        anew = ask(node, key, name, fresh("order"), user="ann")
        assert (anew.status_code, anew.json()["error"]["code"]) == (429, "too_many_end_users")
    assert len(cluster.provider.entries(model)) == 2, "I14: one bill each"


def test_what_is_no_key_is_refused_and_a_revoked_api_key_gets_no_replay(cluster):
    name, _, key = served(cluster, "refused")
    for text in ("", '""', "x" * 256):
        assert refused(ask(cluster.nodes[0], key, name, text)) == (400, "invalid_idempotency_key", "false", None)
    text = "x" * 255
    assert ask(cluster.nodes[0], key, name, text).status_code == 200
    cluster.admin.revoke(key)
    answer = ask(cluster.nodes[1], key, name, text)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_who_does_not_want_to_wait_is_told_that_it_is_under_way(cluster):
    name, model, key = served(cluster, "impatient")
    cluster.provider.behave(latency_ms=1_500)
    text = fresh("order")
    first = Asked(cluster.nodes[0], key, name, text)
    at_the_provider(cluster.provider)
    for node in cluster.nodes:
        assert refused(ask(node, key, name, text, NO_PATIENCE)) == IN_FLIGHT
    # The SDK comes again by itself, as it is told to.
    sdk = cluster.nodes[1].sdk(key, max_retries=5)
    headers = {"Idempotency-Key": text, **NO_PATIENCE}
    again = sdk.chat.completions.with_raw_response.create(model=name, messages=MESSAGES, extra_headers=headers)
    assert again.content == first.wait().content
    assert len(cluster.provider.entries(model)) == 1, "I14: one bill"


def test_what_charged_nothing_is_released_and_executed_when_it_comes_again(cluster):
    name, model, _ = served(cluster, "released")
    key = cluster.admin.key(budgets=[{"unit": "requests", "limit": 1}])
    for node in cluster.nodes:
        node.admin.get("/keys")
    assert ask(cluster.nodes[0], key, name, fresh("order")).status_code == 200
    text = fresh("order")
    assert ask(cluster.nodes[0], key, name, text).status_code == 429
    budget = cluster.admin.budget_of(key)
    cluster.admin.call("PUT", f"/budgets/{budget['id']}", {"limit": 3})
    again = eventually(lambda: (a := ask(cluster.nodes[1], key, name, text)).is_success and a, what="a served repeat")
    assert REPLAY not in again.headers

    cluster.provider.behave(error_rate=1, error_status=400)
    text = fresh("order")
    assert ask(cluster.nodes[2], key, name, text).status_code == 400
    cluster.provider.behave(error_rate=0)
    served_now = ask(cluster.nodes[0], key, name, text, max_tokens=9)
    assert served_now.status_code == 200, "another request even: nothing was executed under that key"
    assert len(cluster.provider.entries(model)) == 3

    (port,) = free_ports(1)
    cluster.admin.serve(dead := fresh("dead"), f"http://127.0.0.1:{port}")
    unlimited = cluster.admin.key()
    cluster.nodes[1].admin.get("/keys")
    ends = [ask(cluster.nodes[1], unlimited, dead, text) for _ in range(2)]
    assert [(end.status_code, REPLAY in end.headers) for end in ends] == [(502, False)] * 2


def test_a_failure_that_was_charged_is_told_again(cluster):
    name = fresh("late")
    timeouts = {"connect_ms": 1_000, "first_byte_ms": 300, "idle_ms": 60_000, "total_ms": 60_000}
    cluster.admin.provider(name, cluster.provider.url, timeouts=timeouts)
    cluster.admin.model(name, name)
    cluster.admin.route(name, name)
    key = cluster.admin.key()
    for node in cluster.nodes:
        node.admin.get("/keys")
    cluster.provider.behave(hang=True)
    before, text = cluster.provider.stats()["requests"], fresh("order")
    first, again = (ask(cluster.nodes[number], key, name, text) for number in (0, 1))
    assert refused(first)[:3] == (504, "provider_timeout", "false")
    assert (again.status_code, again.content, again.headers[REPLAY]) == (504, first.content, "true")
    assert again.headers["x-should-retry"] == "false"
    assert cluster.provider.stats()["requests"] == before + 1, "I14: sent once"


def test_a_stream_that_broke_is_told_again_with_its_error(cluster):
    name, model, key = served(cluster, "broken")
    cluster.provider.behave(cut_after_chunks=3, chunks=9)
    text = fresh("order")
    first, again = (ask(cluster.nodes[number], key, name, text, stream=True) for number in (0, 1))
    assert "provider_unreachable" in first.text
    assert (again.content, again.headers[REPLAY]) == (first.content, "true")
    assert len(cluster.provider.entries(model)) == 1, "I14: one bill"


def hang_up(node, key, model, text, until, **fields):
    """Sends a request, and closes the connection once `until` is so."""
    headers = {"authorization": f"Bearer {key['secret']}", "idempotency-key": text}
    body = {"model": model, "messages": MESSAGES, **fields}

    async def both():
        async with httpx.AsyncClient(base_url=node.client_url, timeout=60) as client:
            call = asyncio.create_task(client.post(CHAT, json=body, headers=headers))
            await asyncio.to_thread(until)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

    asyncio.run(both())


def test_a_client_that_hangs_up_finds_its_answer_when_it_comes_again(cluster):
    name, model, key = served(cluster, "gone")
    cluster.provider.behave(latency_ms=800)
    for fields in ({}, {"stream": True}):
        text = fresh("order")
        hang_up(cluster.nodes[0], key, name, text, lambda: at_the_provider(cluster.provider), **fields)
        again = ask(cluster.nodes[1], key, name, text, **fields)
        assert again.status_code == 200 and again.headers[REPLAY] == "true"
        assert again.text.endswith("data: [DONE]\n\n") == bool(fields)
    assert len(cluster.provider.entries(model)) == 2, "I14: one bill each"


def test_a_stream_that_is_left_with_its_client_is_unknown_and_not_sent_again(cluster):
    name = fresh("left")
    cluster.admin.provider(name, cluster.provider.url, when_client_leaves="cancel")
    cluster.admin.model(name, name)
    cluster.admin.route(name, name)
    key = cluster.admin.key()
    for node in cluster.nodes:
        node.admin.get("/keys")
    cluster.provider.behave(chunks=1_000, chunk_delay_ms=50, completion_tokens=1_000)
    text = fresh("order")
    hang_up(cluster.nodes[0], key, name, text, lambda: at_the_provider(cluster.provider), stream=True)
    for node in cluster.nodes:
        assert refused(ask(node, key, name, text, stream=True)) == UNKNOWN
    cluster.provider.wait_until_idle()
    assert len(cluster.provider.entries(name)) <= 1, "I14: sent once"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Three nodes that remember little and not for long, and their provider."""
    folder = tmp_path_factory.mktemp("small")
    config = folder / "own.toml"
    config.write_text(SMALL)
    cluster = Cluster(folder, config=config)
    cluster.provider = OwnProvider(folder, "provider")
    yield cluster
    cluster.stop()
    cluster.provider.process.stop()


def test_a_record_expires_and_the_request_is_executed_again(small):
    name, model, key = served(small, "expired")
    text = fresh("order")
    first = ask(small.nodes[0], key, name, text)
    assert ask(small.nodes[1], key, name, text).content == first.content

    def executed():
        answer = ask(small.nodes[2], key, name, text)
        assert answer.status_code == 200
        return REPLAY not in answer.headers

    eventually(executed, 30, "an execution after the record has expired")
    assert len(small.provider.entries(model)) == 2


def test_an_answer_that_is_too_large_is_given_once_and_said_to_have_been(small):
    name, model, key = served(small, "large")
    small.provider.behave(completion_tokens=3_000, chunks=300)
    for fields in ({}, {"stream": True}):
        text = fresh("order")
        first = ask(small.nodes[0], key, name, text, **fields)
        assert first.status_code == 200 and len(first.content) > LARGEST
        assert refused(ask(small.nodes[1], key, name, text, **fields)) == NOT_KEPT
    assert len(small.provider.entries(model)) == 2, "I14: one bill each"
    small.provider.reset()


def test_when_there_is_no_room_for_a_record_nothing_is_executed(small):
    empty = lambda: metric(small.nodes[0], "quorate_idempotent_records") == 0  # noqa: E731
    eventually(empty, 30, "no records of other tests")
    name, model, key = served(small, "full")
    # Half of eight are one API key's.
    answers = [ask(small.nodes[number % 3], key, name, f"order-{number}") for number in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [503]
    assert refused(answers[4]) == FULL
    assert len(small.provider.entries(model)) == 4
    other = small.admin.key()
    small.nodes[0].admin.get("/keys")
    assert ask(small.nodes[0], other, name, "order-4").status_code == 200, "one API key does not keep others out"
    room = lambda: ask(small.nodes[1], key, name, "order-4").status_code == 200  # noqa: E731
    eventually(room, 30, "room for the request that was refused")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("of", ["leader", "follower"])
def test_what_a_node_was_executing_when_it_died_is_unknown_and_never_sent_again(own_cluster, of):
    name, model, key = served(own_cluster, "crash")
    owner = own_cluster.leader() if of == "leader" else own_cluster.followers()[0]
    others = [node for node in own_cluster.nodes if node is not owner]
    own_cluster.provider.behave(latency_ms=60_000)
    text = fresh("order")
    first = Asked(owner, key, name, text)
    at_the_provider(own_cluster.provider)
    session = session_of(own_cluster, owner, key)
    owner.kill()
    assert isinstance(first.wait(), httpx.HTTPError)

    def told(node):
        answer = ask(node, key, name, text, NO_PATIENCE)
        return refused(answer)

    # While nobody says that the node is dead, it may yet end what it began.
    for node in others:
        eventually(lambda node=node: told(node) == IN_FLIGHT, 20, "a node that serves, and knows the record")
    waiting = Asked(others[1], key, name, text)
    done(own_cluster, "cluster", "expire", session, "-m", "it was killed")
    assert refused(waiting.wait()) == UNKNOWN, "who waits hears it at once"
    for node in others:
        assert refused(ask(node, key, name, text)) == UNKNOWN

    own_cluster.provider.behave(latency_ms=0)
    owner.start_again()
    owner.wait_until_ready()
    assert refused(ask(owner, key, name, text)) == UNKNOWN
    own_cluster.provider.wait_until_idle()
    assert len(own_cluster.provider.entries(model)) <= 1, "I14: at most one bill"
    assert ask(owner, key, name, fresh("order")).status_code == 200, "a new key is a new request"


def session_of(cluster, node, key):
    """The session in which the node holds some of the key's budget."""
    budget = cluster.admin.budget_of(key)
    held = lambda: [held for held in cluster.admin.explain(budget)["holdings"] if held["node"] == node.id]  # noqa: E731
    (holding,) = eventually(held, what="a holding of the node")
    return str(holding["session"])


@pytest.mark.timeout(240)
def test_a_restart_of_the_owner_makes_it_unknown_without_an_operator(own_cluster):
    name, model, key = served(own_cluster, "restart")
    owner = own_cluster.followers()[1]
    own_cluster.provider.behave(latency_ms=60_000)
    text = fresh("order")
    first = Asked(owner, key, name, text)
    at_the_provider(own_cluster.provider)
    owner.kill()
    first.wait()
    owner.start_again()
    owner.wait_until_ready()
    for node in own_cluster.nodes:
        assert refused(ask(node, key, name, text)) == UNKNOWN
    own_cluster.provider.wait_until_idle()
    assert len(own_cluster.provider.entries(model)) <= 1, "I14: at most one bill"


@pytest.mark.timeout(240)
def test_a_node_that_lives_although_it_was_declared_dead_ends_what_it_began(own_cluster):
    name, model, key = served(own_cluster, "declared")
    owner, other, _ = own_cluster.nodes
    own_cluster.provider.behave(latency_ms=6_000)
    text = fresh("order")
    first = Asked(owner, key, name, text)
    at_the_provider(own_cluster.provider)
    done(own_cluster, "cluster", "expire", session_of(own_cluster, owner, key), "-m", "it does not answer")
    assert refused(ask(other, key, name, text)) == UNKNOWN
    answer = first.wait()
    assert answer.status_code == 200
    for node in own_cluster.nodes:
        again = ask(node, key, name, text)
        assert (again.content, again.headers[REPLAY]) == (answer.content, "true")
    assert len(own_cluster.provider.entries(model)) == 1, "I14: one bill"


@pytest.mark.timeout(240)
def test_a_node_that_is_told_to_stop_ends_what_it_began(own_cluster):
    name, model, key = served(own_cluster, "drain")
    owner, other, _ = own_cluster.nodes
    own_cluster.provider.behave(latency_ms=3_000)
    text = fresh("order")
    first = Asked(owner, key, name, text)
    at_the_provider(own_cluster.provider)
    joined = Asked(other, key, name, text)
    owner.terminate()
    assert first.wait().status_code == 200
    assert (joined.wait().content, joined.wait().headers[REPLAY]) == (first.wait().content, "true")
    assert len(own_cluster.provider.entries(model)) == 1, "I14: one bill"


@pytest.mark.timeout(240)
def test_the_leader_dies_meanwhile_and_all_nodes_restart_and_the_answer_is_the_same(own_cluster):
    name, model, key = served(own_cluster, "leader")
    leader, (owner, other) = own_cluster.leader(), own_cluster.followers()
    own_cluster.provider.behave(latency_ms=2_000)
    text = fresh("order")
    first, joined = Asked(owner, key, name, text), None
    at_the_provider(own_cluster.provider)
    joined = Asked(other, key, name, text)
    leader.kill()
    answer = first.wait()
    assert answer.status_code == 200 and REPLAY not in answer.headers
    assert (joined.wait().content, joined.wait().headers[REPLAY]) == (answer.content, "true")
    leader.start_again()
    leader.wait_until_ready()
    again = ask(leader, key, name, text)
    assert (again.content, again.headers[REPLAY]) == (answer.content, "true")
    own_cluster.kill_all()
    own_cluster.start_all_again()
    for node in own_cluster.nodes:
        again = ask(node, key, name, text)
        assert (again.content, again.headers[REPLAY]) == (answer.content, "true")
    assert len(own_cluster.provider.entries(model)) == 1, "I14: one bill"


@pytest.mark.timeout(240)
def test_without_a_quorum_nothing_begins_and_what_is_known_is_told(own_cluster):
    name, model, key = served(own_cluster, "alone", without_quorum="grant_only")
    survivor, *others = own_cluster.nodes
    text = fresh("order")
    first = ask(survivor, key, name, text)
    assert first.status_code == 200
    for node in others:
        node.kill()
    assert refused(ask(survivor, key, name, fresh("order"), max_tokens=1)) == UNAVAILABLE
    again = ask(survivor, key, name, text)
    assert (again.content, again.headers[REPLAY]) == (first.content, "true")
    sdk = survivor.sdk(key)
    assert sdk.chat.completions.create(model=name, messages=MESSAGES, max_tokens=1).choices, "without the header it is served"
    with pytest.raises(openai.APIStatusError) as refusal:
        sdk.chat.completions.create(model=name, messages=MESSAGES, extra_headers={"Idempotency-Key": fresh("order")})
    assert refusal.value.code == "idempotency_unavailable"
    assert len(own_cluster.provider.entries(model)) == 2


@pytest.mark.timeout(240)
def test_an_answer_that_comes_while_the_quorum_is_away_is_given_and_its_record_is_ended_later(own_cluster):
    name, model, key = served(own_cluster, "later", without_quorum="grant_only")
    leader, (owner, other) = own_cluster.leader(), own_cluster.followers()
    own_cluster.provider.behave(latency_ms=2_500)
    text = fresh("order")
    first = Asked(owner, key, name, text)
    at_the_provider(own_cluster.provider)
    for node in (leader, other):
        node.kill()
    answer = first.wait()
    assert answer.status_code == 200, "the client gets its answer all the same"
    assert refused(ask(owner, key, name, text, NO_PATIENCE)) == IN_FLIGHT
    for node in (leader, other):
        node.start_again()
        node.wait_until_ready()
    again = ask(other, key, name, text)
    assert (again.content, again.headers[REPLAY]) == (answer.content, "true")
    assert metric(owner, "quorate_idempotent_records_ended_late_total") == 1
    assert len(own_cluster.provider.entries(model)) == 1, "I14: one bill"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_last_byte_waits_for_the_log(own_cluster, stream):
    name, model, key = served(own_cluster, "order")
    owner, *others = own_cluster.nodes
    own_cluster.provider.behave(latency_ms=700)
    text = fresh("order")
    first = Asked(owner, key, name, text, stream=stream)
    at_the_provider(own_cluster.provider)
    for node in others:
        os.kill(node.pid, signal.SIGSTOP)
    try:
        own_cluster.provider.wait_until_idle()
        # Less than a node waits for the log.
        first.join(0.7)
        assert first.is_alive(), "I14: the client has all of its answer, and the log does not"
    finally:
        for node in others:
            os.kill(node.pid, signal.SIGCONT)
    answer = first.wait()
    assert answer.status_code == 200 and answer.text.endswith("data: [DONE]\n\n") == stream
    for node in others:
        again = told_after_an_election(node, key, name, text, stream=stream)
        assert (again.content, again.headers.get(REPLAY)) == (answer.content, "true"), again.text
    assert len(own_cluster.provider.entries(model)) == 1, "I14: one bill"


def told_after_an_election(*args, **fields):
    """What a node says once there is a leader."""
    told = lambda: (a := ask(*args, **fields)).status_code != 503 and a  # noqa: E731
    return eventually(told, 30, "an answer after an election")


@pytest.mark.timeout(240)
def test_an_answer_that_was_given_is_known_to_the_others_though_its_node_dies_at_once(own_cluster):
    name, model, key = served(own_cluster, "given")
    for number in range(6):
        owner, text = own_cluster.nodes[number % 3], fresh("order")
        answer = ask(owner, key, name, text, stream=number % 2 == 1)
        owner.kill()
        assert answer.status_code == 200
        for node in own_cluster.nodes:
            if node is not owner:
                again = told_after_an_election(node, key, name, text, stream=number % 2 == 1)
                assert (again.content, again.headers.get(REPLAY)) == (answer.content, "true"), again.text
        owner.start_again()
        owner.wait_until_ready()
    assert len(own_cluster.provider.entries(model)) == 6, "I14: one bill each"


AT_ONCE = 6


class Order:
    """A client that must have its answer: it tries every node in turn with one key until it has one, or is told that it is lost."""

    def __init__(self, nodes, key, model, number):
        self.nodes, self.text = nodes[number % 3 :] + nodes[: number % 3], fresh("order")
        # By so many tokens its bill is known.
        self.tokens = 10 + number
        self.sent = {"model": model, "messages": MESSAGES, "max_tokens": self.tokens, "stream": number % 2 == 1}
        self.headers = {"authorization": f"Bearer {key['secret']}", "idempotency-key": self.text}
        self.answers, self.lost = [], False

    async def once(self, node):
        """Asks one node. Whether there is nothing more to be had."""
        try:
            async with httpx.AsyncClient(timeout=20) as client:
                answer = await client.post(node.client_url + CHAT, json=self.sent, headers=self.headers)
        except httpx.HTTPError:
            return False
        if answer.status_code == 200:
            self.answers.append(answer.content)
            return True
        code = answer.json()["error"]["code"]
        self.lost = code == "idempotency_unknown"
        assert code in PASSING, answer.text
        return self.lost

    async def until_told(self):
        for node in itertools.cycle(self.nodes):
            if await self.once(node):
                return
            await asyncio.sleep(0.1)


# What a client that comes again is told while nodes die, and may be told next.
PASSING = ("idempotency_unknown", "idempotency_in_flight", "idempotency_unavailable", "not_ready", "not_fresh", "quota_unavailable")


@pytest.mark.timeout(300)
def test_clients_that_come_again_until_they_are_told_are_billed_once_while_every_node_dies(own_cluster):
    name, model, key = served(own_cluster, "torture")
    own_cluster.provider.behave(latency_ms=400, completion_tokens=1_000, chunk_delay_ms=40)
    orders = []

    def each_dies():
        for node in own_cluster.nodes:
            at_work = lambda: own_cluster.provider.stats()["concurrent"] > 0  # noqa: E731
            eventually(at_work, 60, "requests at the provider")
            node.kill()
            node.start_again()
            node.wait_until_ready()

    async def story():
        deaths = asyncio.create_task(asyncio.to_thread(each_dies))
        # So there are some under way at every death.
        while not deaths.done():
            now = [Order(own_cluster.nodes, key, name, len(orders) + number) for number in range(AT_ONCE)]
            orders.extend(now)
            await asyncio.gather(*(order.until_told() for order in now))
        await deaths

    asyncio.run(asyncio.wait_for(story(), 240))
    own_cluster.provider.wait_until_idle()
    billed = [entry["completion_tokens"] for entry in own_cluster.provider.entries(model)]
    for order in orders:
        # A stream that broke with its node is billed as far as it came.
        times = billed.count(order.tokens)
        assert times <= 1, f"I14: {times} bills of {order.text}"
        for node in own_cluster.nodes:
            answer = ask(node, key, name, order.text, max_tokens=order.tokens, stream=order.sent["stream"])
            if order.lost:
                assert refused(answer) == UNKNOWN
            else:
                assert (answer.content, answer.headers[REPLAY]) == (order.answers[0], "true")
    assert len(billed) <= len(orders), f"I14: {len(billed)} bills of {len(orders)} requests"
    assert any(not order.lost for order in orders)
