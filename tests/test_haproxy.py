"""A node leaves while a real HAProxy sends it requests: no client sees an error, and every open stream ends as it should."""

import asyncio
import contextlib
import json
import threading
from collections import Counter

import httpx
import pytest

from support.haproxy import HaProxy
from support.local import LocalCluster
from support.processes import is_alive
from support.wait import eventually

STREAMS = 100
CHUNKS = 40
CHUNK_DELAY_MS = 200
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture
def balanced(providers, tmp_path):
    """Three nodes behind HAProxy, a model that answers at once, and one whose streams take seconds."""
    cluster = LocalCluster(tmp_path)
    try:
        slow = providers()
        slow.behave(chunks=CHUNKS, completion_tokens=CHUNKS, chunk_delay_ms=CHUNK_DELAY_MS)
        cluster.provider.behave(instant=True)
        cluster.serve("quick")
        cluster.admin.serve("slow", slow.url)
        balancer = HaProxy(tmp_path, cluster.nodes)
        yield cluster, balancer
        balancer.process.kill()
    finally:
        cluster.stop()


async def stream(client, key):
    """One stream, read to its end: `ok`, or how it was not."""
    wish = {"model": "slow", "messages": MESSAGES, "stream": True, "max_tokens": CHUNKS}
    lines = []
    try:
        async with client.stream("POST", CHAT, json=wish, headers=key) as answer:
            if answer.status_code != 200:
                return f"{answer.status_code} {await answer.aread()}"
            async for line in answer.aiter_lines():
                lines.append(line)
    except httpx.HTTPError as error:
        return f"{error!r} after {len(lines)} lines"
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    content = sum(bool(choice["delta"].get("content")) for event in events for choice in event["choices"])
    return "ok" if content == CHUNKS and "data: [DONE]" in lines else f"cut after {content} of {CHUNKS} chunks"


async def ask_until(stopped, client, key, ends):
    """Short requests one after the other, each on a connection that the client keeps, or on a new one."""
    while not stopped.is_set():
        try:
            answer = await client.post(CHAT, json={"model": "quick", "messages": MESSAGES}, headers=key)
            ends[answer.status_code if answer.status_code == 200 else f"{answer.status_code} {answer.text}"] += 1
        except httpx.HTTPError as error:
            ends[repr(error)] += 1


def serves_streams(balancer, name):
    """Whether the balancer has a share of the streams open on this node."""
    return int(balancer.servers()[name]["scur"]) >= STREAMS // 5


async def traffic(balancer, key, leave):
    """The streams and the short requests, and in the midst of them `leave` on a thread. How each ended."""
    headers = {"authorization": f"Bearer {key['secret']}"}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    kept = httpx.AsyncClient(base_url=balancer.url, timeout=60, limits=limits)
    fresh = httpx.AsyncClient(base_url=balancer.url, timeout=60, limits=httpx.Limits(max_keepalive_connections=0))
    stopped, short = asyncio.Event(), Counter()
    async with kept, fresh:
        asking = [asyncio.create_task(ask_until(stopped, client, headers, short)) for client in (kept, kept, fresh, fresh)]
        streams = [asyncio.create_task(stream(kept, headers)) for _ in range(STREAMS)]
        try:
            await asyncio.to_thread(leave, lambda: sum(task.done() for task in streams))
            ends = Counter(await asyncio.gather(*streams))
        finally:
            stopped.set()
            await asyncio.gather(*asking)
    return ends, short


@pytest.mark.timeout(240)
@pytest.mark.parametrize("which", ["leader", "follower"])
def test_a_node_that_is_told_to_stop_breaks_no_request_behind_haproxy(balanced, which):
    cluster, balancer = balanced
    node = cluster.leader() if which == "leader" else cluster.followers()[0]
    name = f"node-{cluster.nodes.index(node) + 1}"
    seen = []

    def leave(ended):
        eventually(lambda: serves_streams(balancer, name), 30, f"open streams on {name}")
        assert ended() == 0, "the streams are too short for this test"
        watch = threading.Thread(target=lambda: seen.extend(seen_down_while_alive(balancer, name, node.pid)))
        watch.start()
        node.terminate()
        watch.join()

    ends, short = asyncio.run(traffic(balancer, cluster.admin.key(), leave))
    assert ends == {"ok": STREAMS}, ends
    assert set(short) == {200} and short[200] > STREAMS, short
    # It had closed its door, and was out of the balancer's rotation, while its own streams went on.
    assert seen and seen[0] > 0, f"streams of {name} when HAProxy saw that it leaves: {seen}"


def seen_down_while_alive(balancer, name, pid):
    """How many requests the node still has when HAProxy first calls it down."""
    while is_alive(pid):
        with contextlib.suppress(httpx.HTTPError):
            row = balancer.servers()[name]
            if row["status"].startswith("DOWN"):
                return [int(row["scur"])]
    return []
