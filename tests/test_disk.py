"""A disk that is full: the node stops and says so, the others go on, nothing acknowledged is lost (G1, G4, I6)."""

import asyncio
from collections import Counter

import httpx
import pytest

from support.admin import Refused
from support.cluster import Cluster
from support.documented import check_stopped, check_told
from support.load import drain, spread
from support.metrics import metric
from support.node_file import NodeFile
from support.processes import is_alive
from support.small_disk import SmallDisk
from support.wait import eventually

DISK_MIB = 32
# So little that the log has filled it before the budget is spent.
ROOM = 16 << 10
LIMIT = 900
FULL = "the disk under DIR is full"


@pytest.fixture
def small_disk():
    disks = []

    def mount(folder):
        disks.append(SmallDisk(folder, DISK_MIB))
        return disks[-1]

    yield mount
    for disk in disks:
        disk.unmount()


@pytest.fixture
def start(small_disk, tmp_path):
    """Starts three nodes, one of them on a small disk."""
    clusters = []

    def three(small):
        disk = small_disk(tmp_path / "data" / f"node-{small}" / "data")
        clusters.append(Cluster(tmp_path))
        return clusters[-1], disk

    yield three
    for cluster in clusters:
        cluster.stop()


def make_key(admin, made):
    """A change, which counts if it is acknowledged."""
    try:
        made.append(admin.key(label=f"made-{len(made)}"))
    except Refused as refusal:
        # Until the one whose disk is full has left the lead, if it has it.
        assert refusal.status in (503, 504, 507), refusal


async def load_until_the_end_of(victim, cluster, key):
    """Requests on all nodes and changes on another one. Returns how the requests ended and the changes that were made."""
    clients = [node.async_sdk(key) for node in cluster.nodes]
    others = [node for node in cluster.nodes if node is not victim]
    ends, made = Counter(), []
    while is_alive(victim.pid):
        ends += await spread(clients, "full", 9)
        await asyncio.to_thread(make_key, others[0].admin, made)
    return ends, made


async def spend(nodes, key):
    """What is left of the budget, to the last request."""
    await spread([node.async_sdk(key) for node in nodes], "full", LIMIT // 2)
    await drain(nodes, key, "full")


def ended(cluster, node):
    return f"node {node.id} ended: exit status: 70" in cluster.process.log.read_text()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("small", [1, 3], ids=["founder", "joined"])
def test_a_node_whose_disk_fills_up_stops_and_the_others_go_on(start, small):
    cluster, disk = start(small)
    model = cluster.serve("full")
    key = cluster.admin.key(budgets=[{"unit": "requests", "limit": LIMIT}])
    victim = cluster.nodes[small - 1]
    others = [node for node in cluster.nodes if node is not victim]
    victim.remember()
    disk.fill(leave=ROOM)

    ends, made = asyncio.run(load_until_the_end_of(victim, cluster, key))
    eventually(lambda: ended(cluster, victim), what="exit code 70")
    check_stopped((disk.folder.parent / "log.jsonl").read_text())
    assert "ok" in ends and made

    fresh = others[0].admin.key(budgets=[{"unit": "requests", "limit": LIMIT}])
    assert asyncio.run(spread([node.async_sdk(fresh) for node in others], "full", 20)) == {"ok": 20}

    # What was kept in reserve lets it start once more; then there is none.
    disk.fill(leave=0)
    victim.start_again()
    victim.wait_until_ready()
    assert "what was kept in reserve is given up" in victim.own.log.read_text()
    victim.kill()
    disk.fill(leave=0)
    victim.start_again()
    check_told(FULL, victim.own.popen.wait(20), victim.own.tail())

    disk.make_room()
    victim.start_again()
    victim.wait_until_ready()
    ids = {key["id"] for key in made}
    for node in cluster.nodes:
        assert ids <= {key["id"] for key in node.admin.items("/keys")}, f"a key is lost on node {node.id}"

    asyncio.run(spend(cluster.nodes, key))
    cluster.provider.wait_until_idle()
    billed = len(cluster.provider.entries(model)) - 20
    assert billed <= LIMIT

    def settled():
        explained = cluster.admin.explain(cluster.admin.budget_of(key))
        return explained["in_doubt"] == 0 and explained["used"] >= billed and explained

    explained = eventually(settled, 30, "a ledger without doubt that covers the bill")
    assert explained["used"] - billed <= explained["crash_charged"], f"G4: {billed} billed, {explained}"


def test_a_node_does_not_begin_on_a_disk_that_is_full(small_disk, tmp_path):
    file = NodeFile(tmp_path / "node", found=True)
    small_disk(file.data).fill(leave=0)
    done = file.refused()
    check_told(FULL, done.returncode, done.stderr)


def level(disk, node, percent):
    """Fills the disk to so many percent, and waits until the node has seen it."""
    disk.fill(leave=int(disk.size() * (100 - percent) / 100))
    eventually(lambda: abs(metric(node, "quorate_disk_used_ratio") - percent / 100) < 0.01, what=f"{percent} % in the metric")


@pytest.mark.timeout(180)
def test_a_disk_that_fills_up_has_the_log_cut_and_then_keeps_operators_out_and_leads_no_more(start):
    cluster, disk = start(1)
    cluster.serve("full")
    key = cluster.admin.key(budgets=[{"unit": "requests", "limit": LIMIT}])
    victim = cluster.nodes[0]
    others = cluster.nodes[1:]
    log = disk.folder.parent / "log.jsonl"

    level(disk, victim, 88)
    eventually(lambda: "the disk is filling up" in log.read_text(), what="a warning")
    assert "[!] disk 8" in httpx.get(f"{victim.admin_url}/readyz/admin?verbose").text
    level(disk, victim, 94)
    eventually(lambda: "the log was cut short to make room" in log.read_text(), what="a log that was cut")
    assert victim.admin.status()["snapshot"], "what was cut is in a snapshot"
    assert victim.admin.key()["id"], "operators may still change something"

    level(disk, victim, 98)
    eventually(lambda: metric(victim, "quorate_unfit_to_lead") == 1, what="a node that should not lead")
    leads = lambda: victim.admin.status()["leader"] in [node.id for node in others]  # noqa: E731
    eventually(leads, what="a leader with room")
    with pytest.raises(Refused) as refused:
        victim.admin.key()
    assert (refused.value.status, refused.value.error["code"]) == (507, "disk_almost_full")
    assert httpx.get(f"{victim.admin_url}/readyz/admin").status_code == 503
    assert victim.is_ready()
    made = others[0].admin.key()
    victim.admin.revoke(made)
    assert asyncio.run(spread([node.async_sdk(key) for node in cluster.nodes], "full", 30)) == {"ok": 30}

    disk.make_room()
    eventually(lambda: metric(victim, "quorate_unfit_to_lead") == 0, what="a node that may lead again")
    assert victim.admin.key()["id"]
