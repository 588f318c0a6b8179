"""A clock that is off: the node leaves the lead, goes on serving, and says so."""

import pytest

from support.admin import Admin
from support.bad_machine import BadMachine
from support.documented import check_told
from support.machines import Machines
from support.node_file import NodeFile
from support.wait import eventually

OFF_MS = 5_000


@pytest.fixture
def machines(tmp_path):
    machines = Machines(tmp_path)
    yield machines
    machines.stop()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("ahead_ms", [OFF_MS, -OFF_MS], ids=["ahead", "behind"])
def test_a_leader_whose_clock_jumps_leaves_the_lead_and_goes_on_serving(machines, ahead_ms):
    wrong = machines.leader()
    others = [node for node in machines.nodes if node is not wrong]
    wrong.machine.suffers(clock_ms=ahead_ms)
    eventually(lambda: any(node.leads() for node in others), 30, "a leader whose clock is right")
    eventually(lambda: wrong.metric("quorate_unfit_to_lead") == 1, what="a node that knows that it should not lead")
    assert abs(wrong.metric("quorate_clock_skew_seconds") - ahead_ms / 1_000) < 0.3
    assert "should not lead" in wrong.probe("/readyz/admin?verbose").text
    assert wrong.probe("/readyz").status_code == 200
    assert wrong.admin.key()["id"], "changes go on by whoever leads"
    assert all(abs(node.metric("quorate_clock_skew_seconds")) < 0.3 for node in others)
    wrong.machine.recovers()
    eventually(lambda: wrong.metric("quorate_unfit_to_lead") == 0, 30, "a clock that is right again")


@pytest.mark.timeout(180)
def test_a_clock_that_is_a_little_off_is_told_and_nothing_is_done(machines):
    leader = machines.leader()
    leader.machine.suffers(clock_ms=700)
    eventually(lambda: "this node's clock is not that of most others" in leader.process.log.read_text(), what="a warning")
    assert leader.metric("quorate_unfit_to_lead") == 0 and leader.leads()


@pytest.mark.timeout(120)
def test_a_newcomer_whose_clock_is_off_is_turned_away_until_it_is_right(tmp_path):
    first = NodeFile(tmp_path / "first", found=True)
    process = first.start()
    started = []
    try:
        first.wait_for(process, "/readyz")
        admin = Admin(f"http://{first.admin}", first.data.joinpath("admin-token").read_text().strip())
        newcomer, machine = NodeFile(tmp_path / "newcomer"), BadMachine(tmp_path / "machine")
        newcomer.env = machine.env
        newcomer.join_by(admin.join_token())
        machine.suffers(clock_ms=OFF_MS)
        done = newcomer.refused()
        check_told("the clock of this machine is off by N ms from that of the leader at ADDRESS, and may be by M ms", done.returncode, done.stderr)
        machine.recovers()
        started.append(newcomer.start())
        newcomer.wait_for(started[0], "/readyz")
    finally:
        for one in (process, *started):
            one.kill()
