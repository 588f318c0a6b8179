"""The leader dies: streams on other nodes go on, covered requests are admitted, writes resume after one election."""

import asyncio
import threading

import httpx
import pytest

from support.admin import PATHS, Refused
from support.load import one
from support.metrics import metric
from support.wait import eventually

STREAMS = 50
CHUNKS = 40


async def follow(client, model):
    """Reads a stream to its end; says how many pieces of text it had and how it ended."""
    stream = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "go on"}], max_tokens=CHUNKS, stream=True
    )
    pieces, reason = 0, None
    async for chunk in stream:
        pieces += bool(chunk.choices and chunk.choices[0].delta.content)
        reason = chunk.choices[0].finish_reason or reason if chunk.choices else reason
    return pieces, reason


def served_at_once(nodes, key, model):
    """Sends a request to each node. Whether all were served, and none had to wait for budget."""
    waits = lambda: [metric(node, "quorate_budget_wait_seconds_count") for node in nodes]  # noqa: E731
    before = waits()

    async def both():
        return await asyncio.gather(*(one(node.async_sdk(key), model, max_tokens=1) for node in nodes))

    return asyncio.run(both()) == ["ok"] * len(nodes) and waits() == before


@pytest.mark.timeout(240)
def test_no_stream_breaks_and_writes_resume_when_the_leader_dies(own_cluster):
    model = own_cluster.serve("long")
    key = own_cluster.admin.key(budgets=[{"unit": "tokens", "limit": 10_000_000}])
    own_cluster.provider.behave(chunks=CHUNKS, completion_tokens=CHUNKS, chunk_delay_ms=150)
    leader, followers = own_cluster.leader(), own_cluster.followers()
    term = leader.admin.status()["term"]

    async def story():
        clients = [node.async_sdk(key) for node in followers]
        streams = [asyncio.create_task(follow(clients[n % len(clients)], "long")) for n in range(STREAMS)]
        is_open = lambda: own_cluster.provider.stats()["concurrent"] == STREAMS  # noqa: E731
        await asyncio.to_thread(eventually, is_open, 30, "fifty open streams")
        covers = lambda: served_at_once(followers, key, "long")  # noqa: E731
        await asyncio.to_thread(eventually, covers, 10, "grants and watermarks that reach beyond the streams")
        await asyncio.to_thread(leader.kill)
        # One that waited for the new leader would be served as well, but later.
        covered = await asyncio.to_thread(covers)
        return covered, await asyncio.gather(*streams)

    covered, streams = asyncio.run(story())
    assert covered, "what a grant covers waits for no leader"
    assert streams == [(CHUNKS, "stop")] * STREAMS

    def written():
        try:
            return followers[0].admin.key(label="after the election")
        except Refused:
            return None

    eventually(written, 15, "a write after the election")
    new = own_cluster.leader()
    assert new is not leader
    assert new.admin.status()["term"] == term + 1, "one election, and its winner leads on"

    billed = own_cluster.provider.billed_tokens(model)
    settled = lambda: (e := new.admin.explain(new.admin.budget_of(key)))["used"] == billed and e  # noqa: E731
    explained = eventually(settled, what=f"a ledger that says the {billed} tokens of the bill")
    assert explained["crash_charged"] == explained["overrun"] == 0, explained


@pytest.mark.timeout(240)
def test_a_restarted_node_catches_up_and_serves(own_cluster):
    own_cluster.serve("chat")
    victim = own_cluster.followers()[0]
    victim.kill()
    key = own_cluster.leader().admin.key(label="made while it was away")
    victim.start_again()
    victim.wait_until_ready()
    serves = lambda: asyncio.run(one(victim.async_sdk(key), "chat")) == "ok"  # noqa: E731
    eventually(serves, 20, "the restarted node knows the new key")


@pytest.mark.timeout(240)
def test_without_a_quorum_changes_are_refused_as_unavailable_and_held_grants_go_on(own_cluster):
    own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "tokens", "limit": 10_000_000}])
    survivor = own_cluster.nodes[0]
    assert asyncio.run(one(survivor.async_sdk(key), "chat", max_tokens=1)) == "ok"
    for node in own_cluster.nodes[1:]:
        node.kill()
    assert asyncio.run(one(survivor.async_sdk(key), "chat", max_tokens=1)) == "ok"
    with pytest.raises(Refused) as refusal:
        survivor.admin.key(label="never made")
    assert refusal.value.status in (503, 504), refusal.value


class Writers:
    """Threads that create keys on all nodes, and note those that were acknowledged."""

    EACH = 4

    def __init__(self, nodes):
        self.made, self.stopping = [], threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(node,)) for node in nodes for _ in range(self.EACH)]
        for thread in self.threads:
            thread.start()

    def write(self, node):
        while not self.stopping.is_set():
            try:
                self.made.append(node.admin.key(label="written")["id"])
            except (Refused, httpx.HTTPError):
                # Whether it was made is not known; the next one may be.
                self.stopping.wait(0.01)

    def write_more(self, count):
        target = len(self.made) + count
        eventually(lambda: len(self.made) >= target, 60, f"{count} more acknowledged writes")

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.timeout(300)
def test_a_leader_that_dies_and_is_back_before_an_election_loses_nothing_that_was_acknowledged(own_cluster):
    """The two others may have agreed on what its own disk did not hold yet: it must not go on leading as if nothing were."""
    writers = Writers(own_cluster.nodes)
    try:
        for _ in range(10):
            writers.write_more(100)
            leader = own_cluster.leader()
            leader.kill()
            leader.start_again()
            leader.wait_until_ready()
        writers.write_more(100)
    finally:
        writers.stop()
    shown = [{path: node.admin.items(path) for path in PATHS} for node in own_cluster.nodes]
    keys = {key["id"] for key in shown[0]["/keys"] if key["label"] == "written"}
    assert set(writers.made) <= keys, "an acknowledged write is lost"
    for path in PATHS:
        assert shown[1][path] == shown[0][path] and shown[2][path] == shown[0][path], f"I9: {path} differ"
    histories = eventually(lambda: at_one_index(own_cluster.nodes), what="nodes that have applied the same index")
    assert len({history["sha256"] for history in histories}) == 1, f"I9: {histories}"


def at_one_index(nodes):
    """What the nodes made of the log, if they are asked while all have applied as much of it."""
    shown = [node.admin.status() for node in nodes]
    assert all(status["differs_from"] == [] for status in shown), "I9"
    histories = [status["history"] for status in shown]
    return histories if len({history["applied"] for history in histories}) == 1 else None
