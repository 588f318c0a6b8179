"""The leader dies: streams on other nodes go on, covered requests are admitted, writes resume after one election."""

import asyncio

import pytest

from support.admin import Refused
from support.load import one
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


@pytest.mark.timeout(240)
def test_no_stream_breaks_and_writes_resume_when_the_leader_dies(own_cluster):
    own_cluster.serve("long")
    key = own_cluster.admin.key(budgets=[{"unit": "tokens", "limit": 10_000_000}])
    own_cluster.provider.behave(chunks=CHUNKS, completion_tokens=CHUNKS, chunk_delay_ms=150)
    leader, followers = own_cluster.leader(), own_cluster.followers()

    async def story():
        clients = [node.async_sdk(key) for node in followers]
        streams = [asyncio.create_task(follow(clients[n % len(clients)], "long")) for n in range(STREAMS)]
        is_open = lambda: own_cluster.provider.stats()["concurrent"] == STREAMS  # noqa: E731
        await asyncio.to_thread(eventually, is_open, 30, "fifty open streams")
        await asyncio.to_thread(leader.kill)
        covered = await asyncio.gather(*(one(client, "long", max_tokens=1) for client in clients))
        return covered, await asyncio.gather(*streams)

    covered, streams = asyncio.run(story())
    assert covered == ["ok"] * len(followers), "a grant covered these requests"
    assert streams == [(CHUNKS, "stop")] * STREAMS

    def written():
        try:
            return followers[0].admin.key(label="after the election")
        except Refused:
            return None

    eventually(written, 15, "a write after the election")
    assert own_cluster.leader() is not leader


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
