"""`cluster/local`: real nodes on one machine, founded and joined by the steps of a cluster on several."""

import asyncio

import pytest

from support.load import one
from support.local import LocalCluster
from support.processes import is_alive
from support.wait import eventually


@pytest.fixture
def local(tmp_path, request):
    cluster = LocalCluster(tmp_path, request.param)
    yield cluster
    cluster.stop()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("local", [3, 5], indirect=True)
def test_all_nodes_serve_after_the_first_start_and_after_the_second(local):
    local.serve("chat")
    key = local.admin.key(budgets=[{"unit": "requests", "limit": 100}])
    ask_all = lambda: [asyncio.run(one(node.async_sdk(key), "chat")) for node in local.nodes]  # noqa: E731
    assert set(ask_all()) == {"ok"}
    assert "HEALTHY" in local.script("status")

    pids = [local.pid(number + 1) for number in range(len(local.nodes))]
    local.start(len(local.nodes))
    assert pids == [local.pid(number + 1) for number in range(len(local.nodes))], "what runs is left alone"

    local.script("stop")
    assert not any(is_alive(pid) for pid in pids)
    local.start(len(local.nodes))
    for node in local.nodes:
        eventually(node.is_ready, 30, f"a ready node {node.id}")
    assert set(ask_all()) == {"ok"}, "keys and budgets are there again"
