"""A node leaves while a real HAProxy sends it requests: no client sees an error, and every open stream ends as it should."""

import asyncio
import contextlib
import json
import threading
from collections import Counter
from dataclasses import dataclass

import httpx
import pytest

from support.command import done
from support.haproxy import DEFAULT_CHECK, SHIPPED_CHECK, HaProxy
from support.local import LocalCluster
from support.wait import eventually

STREAMS = 100
CHUNK_DELAY_MS = 200
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hello"}]


@dataclass
class Way:
    """How a node leaves, how HAProxy asks for its health, and how many chunks a stream has so that it lasts longer than both."""

    name: str
    check: str
    chunks: int


# SIGTERM leaves 1.5 seconds to see that the node is unready, `node drain` ten.
TOLD_TO_STOP = Way("told to stop", SHIPPED_CHECK, chunks=40)
DRAINED = Way("drained", DEFAULT_CHECK, chunks=90)


@dataclass
class Balanced:
    """A cluster behind its balancer."""

    cluster: LocalCluster
    balancer: HaProxy
    way: Way


@pytest.fixture
def balanced(providers, tmp_path, request):
    """Three nodes behind HAProxy, a model that answers at once, and one whose streams take seconds."""
    way = request.param
    cluster = LocalCluster(tmp_path)
    try:
        slow = providers()
        slow.behave(chunks=way.chunks, completion_tokens=way.chunks, chunk_delay_ms=CHUNK_DELAY_MS)
        cluster.provider.behave(instant=True)
        cluster.serve("quick")
        cluster.admin.serve("slow", slow.url)
        balancer = HaProxy(tmp_path, cluster.nodes, way.check)
        yield Balanced(cluster, balancer, way)
        balancer.process.kill()
    finally:
        cluster.stop()


async def stream(client, key, chunks):
    """One stream, read to its end: `ok`, or how it was not."""
    wish = {"model": "slow", "messages": MESSAGES, "stream": True, "max_tokens": chunks}
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
    return "ok" if content == chunks and "data: [DONE]" in lines else f"cut after {content} of {chunks} chunks"


async def ask_until(stopped, client, key, ends):
    """Short requests one after the other, each on a connection that the client keeps, or on a new one."""
    while not stopped.is_set():
        try:
            answer = await client.post(CHAT, json={"model": "quick", "messages": MESSAGES}, headers=key)
            ends[answer.status_code if answer.status_code == 200 else f"{answer.status_code} {answer.text}"] += 1
        except httpx.HTTPError as error:
            ends[repr(error)] += 1


async def traffic(balanced, leave):
    """The streams and the short requests, and in the midst of them `leave` on a thread. How each ended."""
    url, key = balanced.balancer.url, balanced.cluster.admin.key()
    headers = {"authorization": f"Bearer {key['secret']}"}
    kept = httpx.AsyncClient(base_url=url, timeout=60, limits=httpx.Limits(max_connections=None, max_keepalive_connections=None))
    fresh = httpx.AsyncClient(base_url=url, timeout=60, limits=httpx.Limits(max_keepalive_connections=0))
    stopped, short = asyncio.Event(), Counter()
    async with kept, fresh:
        asking = [asyncio.create_task(ask_until(stopped, client, headers, short)) for client in (kept, kept, fresh, fresh)]
        streams = [asyncio.create_task(stream(kept, headers, balanced.way.chunks)) for _ in range(STREAMS)]
        try:
            await asyncio.to_thread(leave, lambda: sum(task.done() for task in streams))
            ends = Counter(await asyncio.gather(*streams))
        finally:
            stopped.set()
            await asyncio.gather(*asking)
    return ends, short


def has_its_share(balancer, name):
    """Whether the balancer has a share of the streams open on this node."""
    return int(balancer.servers()[name]["scur"]) >= STREAMS // 5


def seen_down(balancer, name, left):
    """How many requests the node still has when HAProxy first calls it down; nothing if it has left before."""
    while not left.is_set():
        with contextlib.suppress(httpx.HTTPError):
            row = balancer.servers()[name]
            if row["status"].startswith("DOWN"):
                return int(row["scur"])
    return None


@pytest.mark.timeout(240)
@pytest.mark.parametrize("which", ["leader", "follower"])
@pytest.mark.parametrize("balanced", [TOLD_TO_STOP, DRAINED], ids=lambda way: way.name, indirect=True)
def test_a_node_that_leaves_breaks_no_request_behind_haproxy(balanced, which):
    cluster, balancer = balanced.cluster, balanced.balancer
    node = cluster.leader() if which == "leader" else cluster.followers()[0]
    name = f"node-{cluster.nodes.index(node) + 1}"
    open_when_down = []

    def leave(ended):
        eventually(lambda: has_its_share(balancer, name), 30, f"open streams on {name}")
        assert ended() == 0, "the streams are too short for this test"
        left = threading.Event()
        watch = threading.Thread(target=lambda: open_when_down.append(seen_down(balancer, name, left)))
        watch.start()
        if balanced.way is DRAINED:
            done(cluster, "node", "drain", name, "--yes", "-m", "kernel patch")
        node.terminate()
        left.set()
        watch.join()

    ends, short = asyncio.run(traffic(balanced, leave))
    assert ends == {"ok": STREAMS}, ends
    assert set(short) == {200} and short[200] > STREAMS, short
    # It was out of the balancer's rotation while its own streams went on.
    (streams,) = open_when_down
    assert streams, f"streams of {name} when HAProxy saw that it leaves: {streams}"
