"""Clients that stall, keys and limits that change under way, and the edge of a window: nothing is let through."""

import asyncio
import json
import socket

import pytest

from support.load import spread
from support.wait import eventually

MESSAGES = [{"role": "user", "content": "hi"}]


def connect(node):
    host, port = node.client_url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def test_a_key_revoked_while_the_body_comes_is_not_let_in(cluster):
    model = cluster.serve("revoked")
    key = cluster.admin.key()
    body = json.dumps({"model": "revoked", "messages": MESSAGES}).encode()
    head = f"authorization: Bearer {key['secret']}\r\ncontent-length: {len(body)}"
    with connect(cluster.nodes[0]) as client:
        client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n".encode() + body[:10])
        cluster.nodes[0].admin.revoke(key)
        client.sendall(body[10:])
        assert client.recv(12) == b"HTTP/1.1 401"
    assert cluster.provider.entries(model) == []


def test_a_connection_that_says_nothing_is_closed(cluster):
    with connect(cluster.nodes[0]) as silent:
        assert silent.recv(1) == b""


def test_a_cut_limit_calls_grants_back(cluster):
    cluster.serve("cut")
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": 100_000}])
    clients = [node.async_sdk(key) for node in cluster.nodes]
    assert asyncio.run(spread(clients, "cut", 6, max_tokens=5)) == {"ok": 6}
    budget = cluster.admin.budget_of(key)
    eventually(lambda: cluster.admin.explain(budget)["granted"] > 0, what="grants")
    cluster.admin.call("PUT", f"/budgets/{budget['id']}", {"limit": 1})
    explained = eventually(
        lambda: (e := cluster.admin.explain(budget))["granted"] == 0 and e, what="no grants under a limit of 1"
    )
    assert explained["excess"] == explained["used"] - 1


@pytest.mark.timeout(180)
def test_the_edge_of_a_minute_under_load_breaks_no_session(cluster):
    model = cluster.serve("edge")
    key = cluster.admin.key(budgets=[{"unit": "requests", "window": "minute", "limit": 100_000}])
    budget = cluster.admin.budget_of(key)
    first = cluster.admin.explain(budget)["window_start"]

    async def until_the_next_window():
        clients = [node.async_sdk(key) for node in cluster.nodes]
        ends, sent = set(), 0
        while cluster.admin.explain(budget)["window_start"] == first:
            ends |= set(await spread(clients, "edge", 12))
            sent += 12
        ends |= set(await spread(clients, "edge", 12))
        return ends, sent + 12

    ends, sent = asyncio.run(until_the_next_window())
    assert ends == {"ok"}
    assert len(cluster.provider.entries(model)) == sent
    states = {h["state"] for b in cluster.admin.items("/budgets") for h in cluster.admin.explain(b)["holdings"]}
    assert states <= {"live"}
