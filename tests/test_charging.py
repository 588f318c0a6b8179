"""Each row of docs/charging.md: what a provider answers, what it is charged, and whether a client may try again by itself."""

import fnmatch
import json
import re
import socket
from itertools import chain
from pathlib import Path

import httpx
import openai
import pytest

from support.canned import HANG, Canned, event, head, whole
from support.metrics import metric
from support.processes import free_ports
from support.wait import eventually

LIMIT = 100_000
MAX_TOKENS = 5
# What a short answer says that it used, and what the answers of these tests say.
FOLLOWED, SAID = 3, 11
USAGE = {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": SAID}
TIMEOUTS = {"connect_ms": 1_000, "first_byte_ms": 600, "idle_ms": 600, "total_ms": 60_000}
FUNCTION = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)
MISSING = 'quorate_usage_missing_total{{reason="{}"}}'

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
ERROR = {"error": {"message": "no", "type": "server_error", "code": None}}
CONTENT = event({"id": "c", "choices": [{"index": 0, "delta": {"content": "hi"}}]})
COUNTING = event({"id": "c", "choices": [{"index": 0, "delta": {"content": "hi"}}], "usage": USAGE})
LAST = event({"id": "c", "choices": [], "usage": USAGE})
STREAM = head(200, "text/event-stream")


def answer(usage=None):
    body = {"id": "c", "object": "chat.completion", "choices": [CHOICE]}
    return whole(200, body if usage is None else {**body, "usage": usage})


NOTHING, BY_USAGE, IN_FULL = "nothing", "by usage", "in full"
# Name: what is sent, what is charged, and how it is counted in `quorate_usage_missing_total`.
WHOLE = {
    "usage": ([answer(USAGE)], BY_USAGE, None),
    "none": ([answer()], IN_FULL, "Absent"),
    "negative": ([answer({**USAGE, "completion_tokens": -4})], IN_FULL, "Unreadable"),
    "fraction": ([answer({**USAGE, "completion_tokens": 4.5})], IN_FULL, "Unreadable"),
    "text": ([answer("a lot")], IN_FULL, "Unreadable"),
    "beyond-64-bits": ([answer({**USAGE, "completion_tokens": 2**64})], IN_FULL, "Unreadable"),
    "impossible": ([answer({**USAGE, "completion_tokens": 2**33})], IN_FULL, "Impossible"),
    "impossible-prompt": ([answer({**USAGE, "prompt_tokens": 2**33})], IN_FULL, "Impossible"),
    "impossible-total": ([answer({**USAGE, "total_tokens": 2**33})], IN_FULL, "Impossible"),
    "inside": ([whole(200, ERROR)], NOTHING, None),
    "inside-usage": ([whole(200, {**ERROR, "usage": USAGE})], BY_USAGE, None),
    **{f"status-{status}": ([whole(status, ERROR)], NOTHING, None) for status in (400, 404, 409, 422, 429, 500, 502, 503)},
    **{f"status-{status}-usage": ([whole(status, {**ERROR, "usage": USAGE})], BY_USAGE, None) for status in (400, 500, 504)},
    **{f"gave-up-{status}": ([whole(status, ERROR)], IN_FULL, None) for status in (408, 499, 504, 524)},
    **{f"credentials-{status}": ([whole(status, ERROR)], NOTHING, None) for status in (401, 402, 403, 407)},
    "redirect": ([whole(302, {}, location="http://127.0.0.1:1/")], IN_FULL, None),
    **{f"status-{status}-unknown": ([whole(status, {})], IN_FULL, None) for status in (300, 600, 999)},
    "silent": ([HANG], IN_FULL, None),
    "hung-up": ([], IN_FULL, None),
    "stalls": ([head(200, length=1_000), b'{"id":', HANG], IN_FULL, None),
    "too-long": ([head(200), b" " * ((64 << 20) + 1)], IN_FULL, None),
    "cut": ([head(200, length=1_000), b'{"id":'], IN_FULL, None),
}
STREAMED = {
    "stream": ([STREAM, CONTENT, LAST, b"data: [DONE]\n\n"], BY_USAGE, None),
    "stream-none": ([STREAM, CONTENT, b"data: [DONE]\n\n"], IN_FULL, "Absent"),
    "stream-empty": ([STREAM], IN_FULL, None),
    "stream-silent": ([STREAM, HANG], IN_FULL, None),
    "stream-inside": ([STREAM, event(ERROR)], NOTHING, None),
    "stream-inside-usage": ([STREAM, event({**ERROR, "usage": USAGE})], BY_USAGE, None),
    "stream-cut": ([STREAM, CONTENT], IN_FULL, "Absent"),
    "stream-cut-after-usage": ([STREAM, CONTENT, LAST], BY_USAGE, None),
    "stream-cut-while-it-counts": ([STREAM, COUNTING], IN_FULL, "Absent"),
    "stream-stalls-at-once": ([STREAM, b": wait\n\n", HANG], IN_FULL, None),
    "stream-stalls": ([STREAM, CONTENT, HANG], IN_FULL, "Absent"),
}
CASES = {**{name: (False, *case) for name, case in WHOLE.items()}, **{name: (True, *case) for name, case in STREAMED.items()}}


@pytest.fixture(scope="module")
def canned(cluster):
    provider = Canned()
    provider.answer("follow", answer({"prompt_tokens": 1, "completion_tokens": 2}))
    cluster.admin.provider("canned", provider.url)
    cluster.admin.model("follow", "canned")
    cluster.admin.route("follow", "follow")
    yield provider
    provider.stop()


def serve(cluster, name, url):
    """A route of its own, so that no failure before this one lets a target rest."""
    cluster.admin.provider(f"of-{name}", url, timeouts=TIMEOUTS)
    cluster.admin.model(name, f"of-{name}")
    cluster.admin.route(name, name)


def bound_of(body):
    """How many tokens a request may cost: its bytes, some for what surrounds them, the longest answer."""
    return len(body) + 8 + 8 + MAX_TOKENS


def ask(node, key, model, stream=False):
    """Sends the request, and says how many tokens it may cost."""
    wish = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": MAX_TOKENS, "stream": stream}
    body = json.dumps(wish).encode()
    headers = {"authorization": f"Bearer {key['secret']}", "content-type": "application/json"}
    response = httpx.post(f"{node.client_url}/v1/chat/completions", content=body, headers=headers, timeout=30)
    return response, bound_of(body)


def check_charged(cluster, node, key, tokens, budget=None):
    """All that was charged is so much: a request that follows brings what the first one left behind with it."""
    assert ask(node, key, "follow")[0].status_code == 200
    budget = budget or cluster.admin.budget_of(key)
    eventually(lambda: cluster.admin.explain(budget)["used"] >= tokens + FOLLOWED, what=f"a charge of {tokens} tokens")
    assert cluster.admin.explain(budget)["used"] == tokens + FOLLOWED


@pytest.mark.parametrize("name", CASES)
def test_an_answer_is_charged_as_documented(cluster, canned, name):
    stream, parts, charged, missing = CASES[name]
    canned.answer(name, *parts)
    serve(cluster, name, canned.url)
    node = cluster.nodes[0]
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": LIMIT}])
    series = [MISSING.format(reason) for reason in ("Absent", "Unreadable", "Impossible")]
    series += ["quorate_charged_tokens_total", "quorate_charged_assumed_tokens_total"]
    before = [metric(node, name) for name in series]

    response, bound = ask(node, key, name, stream)

    tokens = {NOTHING: 0, BY_USAGE: SAID, IN_FULL: bound}[charged]
    if response.status_code >= 400:
        # What was charged is not for an SDK to try again on its own.
        told = response.headers.get("x-should-retry")
        assert told == "false" if charged != NOTHING else told != "false" or "credentials" in name, response.headers
    check_charged(cluster, node, key, tokens)
    assert canned.asked(name) == 1
    counts = [reason == missing for reason in ("Absent", "Unreadable", "Impossible")]
    grown = [*counts, (SAID if charged == BY_USAGE else 0) + FOLLOWED, bound if charged == IN_FULL else 0]
    eventually(lambda: [metric(node, name) - count for name, count in zip(series, before, strict=True)] == grown, what=f"{grown}")


def test_a_provider_that_cannot_be_reached_charges_nothing(cluster, canned):
    (port,) = free_ports(1)
    serve(cluster, "unreachable", f"http://127.0.0.1:{port}")
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": LIMIT}])
    response, _ = ask(cluster.nodes[0], key, "unreachable")
    assert (response.status_code, response.headers["x-should-retry"]) == (502, "true")
    check_charged(cluster, cluster.nodes[0], key, 0)


def test_what_an_earlier_target_was_charged_keeps_the_last_failure_from_being_tried_again(cluster, canned):
    canned.answer("first", HANG)
    canned.answer("second", whole(503, ERROR))
    for name in ("first", "second"):
        cluster.admin.provider(f"of-{name}", canned.url, timeouts=TIMEOUTS)
        cluster.admin.model(name, f"of-{name}")
    cluster.admin.route("two", "first", "second")
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": LIMIT}])
    response, bound = ask(cluster.nodes[0], key, "two")
    assert (response.status_code, response.headers["x-should-retry"]) == (503, "false")
    check_charged(cluster, cluster.nodes[0], key, bound)


@pytest.mark.parametrize(("end", "charged"), [((), IN_FULL), ((COUNTING,), IN_FULL), ((LAST,), BY_USAGE)])
def test_a_stream_that_is_cut_for_its_key_is_charged_as_documented(cluster, canned, end, charged):
    name = f"revoked-{charged}-{len(end)}".replace(" ", "-")
    # In one piece: whoever has seen its beginning has seen all of it.
    canned.answer(name, STREAM, b"".join([CONTENT, *end]), HANG)
    cluster.admin.provider(f"of-{name}", canned.url)
    cluster.admin.model(name, f"of-{name}")
    cluster.admin.route(name, name)
    node = cluster.nodes[0]
    cluster.admin.call("POST", "/teams", {"name": name})
    budget = cluster.admin.call("POST", "/budgets", {"subject": f"team:{name}", "unit": "tokens", "limit": LIMIT})
    key = cluster.admin.key(owner={"team": name}, on_revocation="cut_streams")
    counted = metric(node, MISSING.format("Absent"))

    wish = {"model": name, "messages": [{"role": "user", "content": "hello"}], "max_tokens": MAX_TOKENS, "stream": True}
    body = json.dumps(wish).encode()
    headers = {"authorization": f"Bearer {key['secret']}", "content-type": "application/json"}
    with httpx.stream("POST", f"{node.client_url}/v1/chat/completions", content=body, headers=headers, timeout=30) as stream:
        lines = stream.iter_lines()
        assert "hi" in next(lines)
        cluster.admin.revoke(key)
        assert any("invalid_api_key" in line for line in lines)

    check_charged(cluster, node, cluster.admin.key(owner={"team": name}), SAID if charged == BY_USAGE else bound_of(body), budget)
    assert metric(node, MISSING.format("Absent")) == counted + (charged == IN_FULL)


# What the provider is told to do without a client, what it sends before that and after it, and what is charged.
LEFT = {
    "cancel": ("cancel", [CONTENT], [LAST], IN_FULL),
    "cancel-after-usage": ("cancel", [CONTENT, LAST], [], BY_USAGE),
    "read-on": ({"read_on_ms": 60_000}, [CONTENT], [LAST], BY_USAGE),
    "read-on-in-vain": ({"read_on_ms": 300}, [CONTENT], [], IN_FULL),
    "cancel-without-content": ("cancel", [], [CONTENT, LAST], IN_FULL),
    "read-on-to-content": ({"read_on_ms": 60_000}, [], [CONTENT, LAST], BY_USAGE),
}


@pytest.mark.parametrize("name", LEFT)
def test_a_stream_whose_client_leaves_is_charged_by_the_rule_of_its_provider(cluster, canned, name):
    rule, before, after, charged = LEFT[name]
    own = Canned()
    own.answer(name, STREAM, b"".join(before), HANG, *after)
    cluster.admin.provider(f"left-{name}", own.url, when_client_leaves=rule)
    cluster.admin.model(name, f"left-{name}")
    cluster.admin.route(name, name)
    node = cluster.nodes[0]
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": LIMIT}])

    body = leave(node, key, name, own, bool(before))
    if rule != "cancel" and after:
        own.let_go()
    check_charged(cluster, node, key, SAID if charged == BY_USAGE else bound_of(body))
    own.stop()


def leave(node, key, name, provider, has_content):
    """Asks for a stream, and hangs up once it has brought content; or, if it brings none, once it was asked for."""
    wish = {"model": name, "messages": [{"role": "user", "content": "hello"}], "max_tokens": MAX_TOKENS, "stream": True}
    body = json.dumps(wish).encode()
    host, port = node.client_url.removeprefix("http://").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key['secret']}\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(head.encode() + body)
        if has_content:
            came = b""
            while b"hi" not in came:
                came += client.recv(4096)
        else:
            eventually(lambda: provider.asked(name) == 1, what="a provider that was asked")
    return body


@pytest.mark.parametrize("has_content", [True, False])
def test_a_provider_with_cancel_is_left_when_the_client_leaves(cluster, canned, has_content):
    name = f"cancel-{has_content}"
    cluster.admin.provider(f"of-{name}", cluster.provider.url, when_client_leaves="cancel")
    cluster.admin.model(name, f"of-{name}")
    cluster.admin.route(name, name)
    node = cluster.nodes[0]
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": LIMIT}])
    slow = {"chunk_delay_ms": 100, "chunks": 1_000} if has_content else {"latency_ms": 60_000}
    cluster.provider.behave(**slow)
    wish = {"model": name, "messages": [{"role": "user", "content": "hello"}], "max_tokens": MAX_TOKENS, "stream": True}
    headers = {"authorization": f"Bearer {key['secret']}"}
    timeout = httpx.Timeout(30, read=30 if has_content else 0.5)
    try:
        with httpx.stream("POST", f"{node.client_url}/v1/chat/completions", json=wish, headers=headers, timeout=timeout) as stream:
            next(stream.iter_lines())
    except httpx.ReadTimeout:
        assert not has_content
    # Reading on would take ten seconds.
    eventually(lambda: cluster.provider.stats()["concurrent"] == 0, 1, "a provider that was left")
    assert [entry["outcome"] for entry in cluster.provider.entries(name)] == ["disconnected"]
    cluster.provider.reset()
    check_charged(cluster, node, key, bound_of(json.dumps(wish, separators=(",", ":")).encode()))


def test_a_stream_that_was_not_sent_yet_is_charged_nothing_when_its_client_leaves(cluster, canned):
    node = cluster.nodes[0]
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": LIMIT}])
    gone = 'quorate_requests_total{result="ClientGone"}'
    with socket.create_server(("127.0.0.1", 0)) as mute:
        # It takes connections, and never says a word of TLS.
        url = "https://127.0.0.1:{}".format(mute.getsockname()[1])
        cluster.admin.provider("mute", url, when_client_leaves="cancel", timeouts={"connect_ms": 60_000})
        cluster.admin.model("mute", "mute")
        cluster.admin.route("mute", "mute")
        counted = metric(node, gone)
        wish = {"model": "mute", "messages": [{"role": "user", "content": "hello"}], "stream": True}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{node.client_url}/v1/chat/completions", json=wish, headers={"authorization": f"Bearer {key['secret']}"}, timeout=0.5)
        eventually(lambda: metric(node, gone) == counted + 1, what="a request that has ended")
    check_charged(cluster, node, key, 0)


@pytest.mark.parametrize(("status", "times"), [(504, 1), (500, 3)])
def test_the_sdk_does_not_try_again_what_was_charged(cluster, canned, status, times):
    name = f"sdk-{status}"
    canned.answer(name, whole(status, ERROR))
    serve(cluster, name, canned.url)
    key = cluster.admin.key(budgets=[{"unit": "requests", "limit": 10}])
    with pytest.raises(openai.InternalServerError):
        messages = [{"role": "user", "content": "hello"}]
        cluster.nodes[0].sdk(key, max_retries=2).chat.completions.create(model=name, messages=messages)
    assert canned.asked(name) == times
    assert ask(cluster.nodes[0], key, "follow")[0].status_code == 200
    used = 1 + (status == 504)
    eventually(lambda: cluster.admin.budget_of(key)["used"] == used, what=f"{used} requests in the ledger")


def test_every_row_of_the_document_names_its_tests_and_every_case_has_a_row():
    """In its last column: a pattern of names of cases of this file, or a test, with its file if that is another one."""
    tests = Path(__file__).parent
    table = (tests.parent / "docs" / "charging.md").read_text().split("|---|---|---|---|\n")[1].split("\n\n")[0]
    rows = [re.findall(r"`([^`]+)`", row.rsplit("|", 2)[1]) for row in table.splitlines()]
    assert len(rows) > 10 and all(rows), "a row without a test"
    known = {f"{file.stem}: {name}" for file in tests.glob("test_*.py") for name in re.findall(FUNCTION, file.read_text())}
    known |= set(CASES) | {name.split(": ")[1] for name in known if name.startswith("test_charging: ")}
    named = {pattern: fnmatch.filter(known, pattern) for pattern in chain(*rows)}
    assert all(named.values()), named
    assert set(CASES) <= set(chain(*named.values())), "a case without a row"
