"""A key is revoked: how soon nobody admits it any more, on nodes that are healthy, stopped, or cut off from their peers.

The judge of admissions is the client that was served, with its own clock; of what was sent, the provider's bill.
"""

import asyncio
import json
import os
import signal
import socket
import time
from types import SimpleNamespace

import httpx
import openai
import pytest

from support.admin import Refused
from support.load import one
from support.metrics import metric
from support.wait import eventually

BOUND_S = 2.0
# T(1+2ρ): what the promise allows.
ALLOWED_S = BOUND_S * 1.002
REFUSED = "401 invalid_api_key"
STALE = "503 not_fresh"
MESSAGES = [{"role": "user", "content": "still there?"}]
# A machine that is busy takes its time for a call that waits for nothing.
AT_ONCE_S = 0.1


def revoke(admin, key):
    """Revokes a key: what the answer says of how it came about, and the times of call and return."""
    called = time.monotonic()
    answer = admin.revoke(key)
    return SimpleNamespace(**answer["withdrawn"], called=called, returned=time.monotonic())


def ask(node, key, model="chat", **fields):
    return asyncio.run(one(node.async_sdk(key), model, max_tokens=1, **fields))


def test_on_a_healthy_cluster_a_revocation_returns_at_once_and_nobody_admits_the_key_any_more(cluster):
    cluster.serve("chat")
    took = []
    for number in range(6):
        key = cluster.admin.key()
        assert [ask(node, key) for node in cluster.nodes] == ["ok"] * 3
        told = revoke(cluster.nodes[number % 3].admin, key)
        assert [ask(node, key) for node in cluster.nodes] == [REFUSED] * 3
        assert (told.by, told.silent_nodes) == ("acknowledged", [])
        took.append(told.returned - told.called)
    assert min(took) < AT_ONCE_S, took


def test_a_rotation_without_overlap_is_a_revocation_of_the_text_before(cluster):
    cluster.serve("rotated")
    key = cluster.admin.key()
    rotated = cluster.admin.call("POST", f"/keys/{key['id']}/rotate", {})
    assert rotated["withdrawn"]["by"] == "acknowledged"
    assert [ask(node, key, "rotated") for node in cluster.nodes] == [REFUSED] * 3
    assert [ask(node, rotated, "rotated") for node in cluster.nodes] == ["ok"] * 3
    overlapping = cluster.admin.call("POST", f"/keys/{key['id']}/rotate", {"overlap_ms": 60_000})
    assert "withdrawn" not in overlapping, "nothing was withdrawn yet"


def test_the_lease_is_shown_in_the_status_and_among_the_metrics(cluster):
    for node in cluster.nodes:
        status = node.admin.status()
        assert status["revocation_bound_ms"] == BOUND_S * 1_000
        assert 0 < status["lease_left_ms"] < BOUND_S * 1_000
        assert metric(node, "quorate_revocation_bound_seconds") == BOUND_S
        assert 0 < metric(node, "quorate_lease_left_seconds") < BOUND_S
        assert metric(node, "quorate_lease_renewals_total") > 0


@pytest.mark.timeout(240)
def test_an_election_fits_into_a_lease(own_cluster):
    own_cluster.serve("chat")
    key = own_cluster.admin.key()
    leader, followers = own_cluster.leader(), own_cluster.followers()

    async def story():
        ends, until = [], time.monotonic() + 3 * BOUND_S
        while time.monotonic() < until:
            ends += [await one(node.async_sdk(key), "chat", max_tokens=1) for node in followers]
        return ends

    # Worse than dead: connections to it stay open, and it answers nothing.
    os.kill(leader.pid, signal.SIGSTOP)
    try:
        ends = asyncio.run(story())
    finally:
        os.kill(leader.pid, signal.SIGCONT)
    assert set(ends) == {"ok"}


@pytest.mark.timeout(240)
def test_a_node_that_was_stopped_meanwhile_admits_not_one_request_when_it_goes_on(own_cluster):
    model = own_cluster.serve("chat")
    key, operator = own_cluster.admin.key(), own_cluster.admin.key(role="admin")
    stopped, other = own_cluster.followers()
    assert ask(stopped, key) == "ok"
    sdk = stopped.async_sdk(key, timeout=60)

    async def story():
        before = len(own_cluster.provider.entries(model))
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            # These wait in the sockets of the stopped process, and are the first that it sees.
            waiting = [asyncio.create_task(one(sdk, "chat", max_tokens=1)) for _ in range(50)]
            change = asyncio.create_task(asyncio.to_thread(change_by, stopped, operator))
            told = await asyncio.to_thread(revoke, other.admin, key)
            await asyncio.to_thread(revoke, other.admin, operator)
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        ends = await asyncio.gather(*waiting)
        # And those that come while it catches up.
        while ends[-1] != REFUSED:
            ends.append(await one(sdk, "chat", max_tokens=1))
        return told, ends, await change, len(own_cluster.provider.entries(model)) - before

    told, ends, changed, n_billed = asyncio.run(story())
    assert told.by == "waited_out" and told.silent_nodes == [stopped.id], told
    assert BOUND_S <= told.returned - told.called < BOUND_S + 2, told
    assert set(ends) <= {REFUSED, STALE}, f"G3: a node that was stopped admitted a revoked key: {ends}"
    assert n_billed == 0, f"G3: {n_billed} requests of a revoked key reached the provider"
    assert changed == 401, "an admin key that was revoked meanwhile changes nothing either"


def change_by(node, key):
    """A change that a key asks of a node, and the status of the answer."""
    headers = {"authorization": f"Bearer {key['secret']}"}
    return httpx.put(f"{node.admin_url}/admin/v1/teams/mine", json={}, headers=headers, timeout=60).status_code


@pytest.mark.timeout(240)
def test_a_node_that_is_cut_off_admits_a_revoked_key_for_no_longer_than_the_bound(partitioned, network):
    key = partitioned.admins[0].key(budgets=[{"unit": "tokens", "limit": 10_000_000}])
    bare = partitioned.admins[0].key()
    # A read waits until the third node knows the keys.
    partitioned.admins[2].get("/keys")
    seen = []

    async def keep_asking(sdk, until):
        while not until.is_set():
            begun = time.monotonic()
            seen.append((begun, await one(sdk, "chat", max_tokens=1)))
            await asyncio.sleep(0.005)

    async def story():
        done = asyncio.Event()
        sdks = [
            openai.AsyncOpenAI(base_url=f"{partitioned.urls[2]}/v1", api_key=each["secret"], max_retries=0)
            for each in (key, bare)
        ]
        for sdk in sdks:
            assert await one(sdk, "chat", max_tokens=1) == "ok"
        asking = [asyncio.create_task(keep_asking(sdk, done)) for sdk in sdks]
        network.cut_off(2)
        told = await asyncio.gather(*(asyncio.to_thread(revoke, partitioned.admins[0], each) for each in (key, bare)))
        await asyncio.to_thread(eventually, lambda: seen[-1][1] == STALE and seen[-2][1] == STALE, 10, "refusals")
        stale_until = time.monotonic() + BOUND_S
        await asyncio.to_thread(eventually, lambda: time.monotonic() > stale_until, 10, "more refusals")
        network.heal()
        await asyncio.to_thread(eventually, lambda: seen[-1][1] == REFUSED, 20, "a node that knows of the revocation")
        done.set()
        await asyncio.gather(*asking)
        return told

    told = asyncio.run(story())
    assert {each.by for each in told} == {"waited_out"}, told
    # The commit lies between the call and the beginning of the wait.
    committed = max(each.returned - each.waited_ms / 1_000 for each in told)
    returned = min(each.returned for each in told)
    admitted = [begun for begun, end in seen if end == "ok"]
    assert max(admitted) > max(each.called for each in told), "a node that is cut off goes on until its lease ends"
    assert max(admitted) <= committed + ALLOWED_S, f"I10: admitted {max(admitted) - committed} s after the commit"
    assert max(admitted) < returned, f"G3: admitted {max(admitted) - returned} s after the revocation had returned"
    assert {end for _, end in seen} == {"ok", STALE, REFUSED}, "and says why it refuses"


@pytest.mark.timeout(240)
def test_who_revokes_a_key_that_may_do_without_a_quorum_is_told_where_it_may_go_on(partitioned, network):
    first = partitioned.admins[0]
    budgets = [{"unit": "requests", "limit": 10_000}]
    opened, closed_since = (first.key(budgets=budgets, without_quorum=word) for word in ("open", "grant_only"))
    always_closed = first.key(budgets=budgets)
    keys = (opened, closed_since, always_closed)

    def third(key):
        sdk = openai.AsyncOpenAI(base_url=f"{partitioned.urls[2]}/v1", api_key=key["secret"], max_retries=0, timeout=60)
        return asyncio.run(one(sdk, "chat", max_tokens=1))

    # A read waits until the third node knows the keys.
    partitioned.admins[2].get("/keys")
    assert [third(key) for key in keys] == ["ok"] * 3
    network.cut_off(2)
    # It does not hear of this either.
    first.call("PUT", f"/keys/{closed_since['id']}", {"owner": closed_since["owner"], "without_quorum": "closed"})
    ended = partitioned.quorate("key", "revoke", opened["id"])
    assert ended.returncode == 9 and "may_go_on" in ended.stdout, ended
    assert "may serve it until they hear of the others again: 3" in ended.stderr and "next:" in ended.stderr, ended
    rotated = first.call("POST", f"/keys/{closed_since['id']}/rotate", {})["withdrawn"]
    assert (rotated["by"], rotated["silent_nodes"]) == ("may_go_on", [3])
    told = revoke(first, closed_since)
    assert (told.by, told.silent_nodes) == ("may_go_on", [3])
    assert revoke(first, always_closed).by == "waited_out"
    assert [third(key) for key in keys] == ["ok", "ok", STALE], "what was said is so"
    network.heal()
    eventually(lambda: {third(key) for key in keys} == {REFUSED}, 20, "a node that knows of the revocations")
    assert {revoke(first, key).by for key in keys} == {"acknowledged"}, "and who asks again is told"
    assert partitioned.quorate("key", "revoke", opened["id"]).returncode == 0


@pytest.mark.timeout(240)
def test_a_node_that_was_stopped_knows_by_its_own_clock_alone_that_it_may_admit_nobody(partitioned, network):
    key = partitioned.admins[0].key()
    # A read waits until the third node knows the key.
    partitioned.admins[2].get("/keys")
    sdk = openai.AsyncOpenAI(base_url=f"{partitioned.urls[2]}/v1", api_key=key["secret"], max_retries=0, timeout=60)

    async def story():
        assert await one(sdk, "chat", max_tokens=1) == "ok"
        before = len(partitioned.provider.entries())
        os.kill(partitioned.pids[2], signal.SIGSTOP)
        try:
            waiting = [asyncio.create_task(one(sdk, "chat", max_tokens=1)) for _ in range(50)]
            network.cut_off(2)
            told = await asyncio.to_thread(revoke, partitioned.admins[0], key)
        finally:
            os.kill(partitioned.pids[2], signal.SIGCONT)
        # Nobody tells it anything: it still believes that the key is good.
        ends = await asyncio.gather(*waiting) + [await one(sdk, "chat", max_tokens=1) for _ in range(50)]
        network.heal()
        return told, ends, len(partitioned.provider.entries()) - before

    told, ends, n_billed = asyncio.run(story())
    assert told.by == "waited_out" and told.silent_nodes == [3], told
    assert set(ends) == {STALE}, f"G3: a node that was stopped admitted a revoked key: {ends}"
    assert n_billed == 0, f"G3: {n_billed} requests of a revoked key reached the provider"


@pytest.mark.timeout(240)
def test_without_a_quorum_only_a_key_that_may_do_without_goes_on_and_only_by_its_grants(own_cluster):
    own_cluster.serve("chat")
    budgets = [{"unit": "tokens", "limit": 10_000_000}]
    closed = own_cluster.admin.key(budgets=budgets)
    survivor, *others = own_cluster.nodes
    grant_only = own_cluster.admin.key(budgets=budgets, without_quorum="grant_only")
    unlimited = own_cluster.admin.key(without_quorum="grant_only")
    assert [ask(survivor, key) for key in (closed, grant_only, unlimited)] == ["ok"] * 3
    for node in others:
        os.kill(node.pid, signal.SIGSTOP)
    try:
        eventually(lambda: ask(survivor, closed) == STALE, 10, "the end of the lease")
        assert [ask(survivor, key) for key in (closed, grant_only, unlimited)] == [STALE, "ok", STALE]
        assert survivor.is_ready(), "it serves somebody"
        assert survivor.admin.status()["lease_left_ms"] == 0
        with pytest.raises(Refused) as refusal:
            survivor.admin.key(label="never made")
        assert refusal.value.status in (503, 504)
    finally:
        for node in others:
            os.kill(node.pid, signal.SIGCONT)
    eventually(lambda: ask(survivor, closed) == "ok", 20, "a lease again")


async def read(node, key, model="chat"):
    """Reads a stream to its end: how many pieces of text it had, and the code of the error that ended it, if one did."""
    stream = await node.async_sdk(key).chat.completions.create(model=model, messages=MESSAGES, max_tokens=200, stream=True)
    pieces = 0
    try:
        async for chunk in stream:
            pieces += bool(chunk.choices and chunk.choices[0].delta.content)
    except openai.APIError as error:
        return pieces, error.code
    return pieces, None


def test_a_fallback_goes_by_the_key_as_it_is_then(cluster, providers):
    first, second = providers(), providers()
    cluster.admin.serve("fallback", first.url, second.url)
    first.behave(hang=True)
    second.behave(chunks=2_000, completion_tokens=2_000, chunk_delay_ms=50)
    node, key = cluster.nodes[0], cluster.admin.key()

    async def story():
        stream = asyncio.create_task(read(node, key, "fallback"))
        await asyncio.to_thread(eventually, lambda: first.stats()["concurrent"] == 1, 20, "a request that hangs")
        changed = {"owner": key["owner"], "on_revocation": "cut_streams"}
        await asyncio.to_thread(node.admin.call, "PUT", f"/keys/{key['id']}", changed)
        first.process.kill()
        await asyncio.to_thread(eventually, lambda: second.stats()["concurrent"] == 1, 20, "a stream of the fallback")
        await asyncio.to_thread(revoke, cluster.admin, key)
        return await asyncio.wait_for(stream, BOUND_S)

    assert asyncio.run(story())[1] == "invalid_api_key"


def test_a_stream_that_its_client_does_not_read_ends_with_its_key_as_well(cluster):
    model = cluster.serve("unread")
    # More than all sockets on the way can hold.
    total = 4_000_000
    cluster.provider.behave(chunks=2_000, completion_tokens=total, ignores_max_tokens=True)
    node, key = cluster.nodes[0], cluster.admin.key(on_revocation="cut_streams")
    generated = []

    def is_stuck():
        generated.append(sum(entry["completion_tokens"] for entry in cluster.provider.entries(model)))
        return generated[-1] > 0 and len(generated) > 5 and len(set(generated[-5:])) == 1

    host, port = node.client_url.removeprefix("http://").split(":")
    body = json.dumps({"model": "unread", "messages": MESSAGES, "stream": True})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key['secret']}\r\n"
    head += f"content-type: application/json\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port))) as client:
        client.sendall((head + body).encode())
        eventually(is_stuck, 30, "a stream that waits for its client")
        assert generated[-1] < total
        assert revoke(cluster.admin, key).by == "acknowledged"
        is_over = lambda: cluster.provider.stats()["concurrent"] == 0 and metric(node, "quorate_streams_open") == 0  # noqa: E731
        eventually(is_over, BOUND_S, "the end of the stream")
        client.settimeout(30)
        received = b"".join(iter(lambda: client.recv(1 << 20), b""))
    assert b'"code":"invalid_api_key"' in received[-2_000:], received[-2_000:]


@pytest.mark.timeout(240)
def test_open_streams_end_with_the_key_if_it_says_so_also_on_a_node_that_loses_its_majority(own_cluster):
    own_cluster.serve("chat")
    own_cluster.provider.behave(chunks=200, completion_tokens=200, chunk_delay_ms=50)
    cut = [own_cluster.admin.key(on_revocation="cut_streams") for _ in range(2)]
    kept = own_cluster.admin.key()
    node, *others = own_cluster.nodes

    async def story():
        streams = [asyncio.create_task(read(node, key)) for key in (*cut, kept)]
        is_open = lambda: own_cluster.provider.stats()["concurrent"] == 3 and metric(node, "quorate_streams_open") == 3  # noqa: E731
        await asyncio.to_thread(eventually, is_open, 20, "three open streams")
        told = await asyncio.to_thread(revoke, others[0].admin, cut[0])
        first = await asyncio.wait_for(streams[0], BOUND_S)
        assert told.by == "acknowledged"
        await asyncio.to_thread(revoke, others[0].admin, kept)
        for other in others:
            os.kill(other.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            second = await asyncio.wait_for(streams[1], 10)
            took = time.monotonic() - stopped
        finally:
            for other in others:
                os.kill(other.pid, signal.SIGCONT)
        return first, second, took, await streams[2]

    first, second, took, third = asyncio.run(story())
    assert first[0] > 0 and first[1] == "invalid_api_key", first
    assert second[0] > first[0] and second[1] == "not_fresh", second
    assert took <= ALLOWED_S + 0.5, f"the stream was cut {took} s after the last word of the majority"
    assert third == (200, None), "by default streams go on to their end"
