"""A disk that is slow, or fails: the node leaves the lead, ends by itself, and never tries a failed sync again."""

import signal

import pytest

from support.documented import check_stopped
from support.machines import Machines
from support.wait import eventually

# More than a write may take before the node should not lead, and far less than ends it.
SLOW_MS = 4_000
GONE_MS = 600_000


@pytest.fixture
def machines(tmp_path):
    machines = Machines(tmp_path)
    yield machines
    machines.stop()


def changes_are_made(nodes, machines, count=20):
    admin = next(node for node in nodes if node.leads()).admin
    for _ in range(count):
        assert admin.key()["id"]


@pytest.mark.timeout(180)
def test_a_leader_whose_disk_takes_seconds_leaves_the_lead_and_takes_it_back_to_nobody(machines):
    slow = machines.leader()
    others = [node for node in machines.nodes if node is not slow]
    slow.machine.suffers(sync_delay_ms=SLOW_MS)
    eventually(lambda: any(node.leads() for node in others), 30, "a leader whose disk is well")
    changes_are_made(others, machines)
    assert slow.metric("quorate_disk_stalls_total") >= 1
    eventually(lambda: slow.metric("quorate_unfit_to_lead") == 1, what="a node that knows that it should not lead")
    assert slow.probe("/readyz").status_code == 200
    assert "[!] writes its disk took seconds for one write" in slow.probe("/readyz?verbose").text
    told = lambda: [m["unfit"] for m in others[0].status()["members"] if m["node"] == slow.status()["node"]]  # noqa: E731
    eventually(lambda: told() == ["stall"], what="peers that know of it")
    slow.machine.recovers()
    eventually(lambda: not slow.leads(), what="a node that has noted who leads")
    eventually(lambda: slow.metric("quorate_unfit_to_lead") == 0, 60, "a node that may lead again")


@pytest.mark.timeout(180)
def test_a_node_whose_disk_never_answers_ends_and_the_others_go_on(machines):
    gone = machines.leader()
    others = [node for node in machines.nodes if node is not gone]
    gone.machine.suffers(sync_delay_ms=GONE_MS)
    eventually(lambda: any(node.leads() for node in others), 30, "a leader whose disk is well")
    assert gone.process.popen.wait(60) == -signal.SIGABRT
    assert "the disk does not answer; the process is ended" in gone.process.log.read_text()
    changes_are_made(others, machines)
    gone.machine.recovers()
    gone.start()
    eventually(machines.are_well, 30, "three nodes that hear each other")


@pytest.mark.timeout(180)
def test_a_sync_that_fails_stops_the_node_even_if_the_next_one_would_not(machines):
    broken = machines.leader()
    others = [node for node in machines.nodes if node is not broken]
    broken.machine.suffers(sync_fails=1)
    eventually(lambda: "a write to the disk failed; the node stops" in broken.process.log.read_text(), what="a write that fails")
    # The disk would take it now, and has lost what it did not take before: nothing is written any more.
    broken.machine.recovers()
    assert broken.process.popen.wait(60) == 70
    check_stopped(broken.process.log.read_text())
    eventually(lambda: any(node.leads() for node in others), 30, "a leader whose disk is well")
    changes_are_made(others, machines)
    broken.start()
    eventually(machines.are_well, 30, "three nodes that hear each other")
