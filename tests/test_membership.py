"""Nodes come, are removed and are replaced: by plans, in one change of voters each, under ids that are never given again."""

import threading

import pytest

from support.command import done, quorate, shown
from support.nodes import Town
from support.wait import eventually

REMOVED, TAKEN = 74, 79


@pytest.fixture
def town(tmp_path):
    town = Town(tmp_path)
    yield town
    town.stop()


def grown(town, *names):
    for name in names:
        town.come(name)
    town.done("autopilot", "set", "--stable", "1s")
    return town


@pytest.mark.timeout(180)
def test_a_learner_takes_the_seat_of_a_node_that_is_removed_in_one_change(town):
    grown(town, "a", "b", "c", "d").wait_for_voters("a", "b", "c")
    early = town.run("node", "remove", "b", "--yes")
    assert early.returncode == 7 and "b has not drained: quorate node drain b" in early.stderr
    town.done("node", "drain", "b", "--yes")
    planned = town.run("node", "remove", "b", "--dry-run")
    assert planned.returncode == 0 and "voters {1,2,3} → {1,3,4}" in planned.stdout, planned.stdout
    assert "✓ d takes its seat, and is caught up" in planned.stdout
    town.wait_for_voters("a", "b", "c")
    town.done("node", "remove", "b", "--yes", "-m", "too old")
    assert town.members.pop("b").process.popen.wait(20) == REMOVED
    town.wait_for_voters("a", "c", "d")
    events = [event["what"] for event in town.admin.items("/cluster/events")]
    assert events[:2] == ["b (node 2) was removed for good", "voters {1,2,3} → {1,3,4}"], events
    assert town.come("b").is_ready()
    assert town.admin.get("/nodes/b")["id"] == 5
    assert town.run("cluster", "status").returncode == 0


@pytest.mark.timeout(180)
def test_an_empty_directory_under_a_members_name_is_refused_until_it_is_to_be_replaced(town):
    grown(town, "a", "b", "c").wait_for_voters("a", "b", "c")
    dead = town.members.pop("b")
    dead.process.kill()
    newcomer = type(dead)(town.folder / "again", "b")
    newcomer.file.join_by(town.admin.join_token(uses=2))
    refused = newcomer.file.refused()
    assert refused.returncode == TAKEN and "quorate node replace" in refused.stderr, refused.stderr
    town.done("node", "replace", "b", "--yes", "-m", "disk died")
    missing = lambda: (s := town.run("cluster", "status")).returncode == 12 and s  # noqa: E731
    assert "b is to be replaced" in eventually(missing, 20, "a voter that is missed").stderr
    town.started.append(newcomer)
    town.members["b"] = newcomer.start().wait()
    town.wait_for_voters("a", "b", "c")
    assert [node["id"] for node in town.admin.items("/nodes")] == [1, 3, 4]
    # Whoever comes back from the dead is told so, and stops.
    dead.start()
    assert dead.process.popen.wait(30) == REMOVED


@pytest.mark.timeout(180)
def test_a_voter_that_is_gone_for_long_loses_its_seat_to_a_learner_unless_the_autopilot_is_paused(town):
    grown(town, "a", "b", "c", "d").wait_for_voters("a", "b", "c")
    town.done("autopilot", "pause")
    town.done("autopilot", "set", "--dead-voter", "2s")
    town.members.pop("c").process.kill()
    silent = lambda: (town.admin.get("/nodes/c")["silent_ms"] or 0) > 4_000  # noqa: E731
    eventually(silent, 20, "a voter that is silent")
    assert town.voters()[1] == {"a", "b", "c"}
    town.done("autopilot", "resume")
    town.wait_for_voters("a", "b", "d")
    assert town.admin.get("/nodes/c")["role"] == "learner"
    (swap,) = [event for event in town.admin.items("/cluster/events") if event["what"] == "voters {1,2,3} → {1,2,4}"]
    assert swap["by"] == "autopilot" and swap["reason"].startswith("node 3 was silent for")


@pytest.mark.timeout(180)
def test_who_was_demoted_gets_no_vote_until_promoted_and_leadership_goes_where_it_is_told(town):
    grown(town, "a", "b", "c", "d").wait_for_voters("a", "b", "c")
    town.done("node", "demote", "c", "--yes")
    town.wait_for_voters("a", "b", "d")
    town.done("node", "promote", "c", "--instead-of", "b", "--yes")
    town.wait_for_voters("a", "c", "d")
    town.done("cluster", "transfer-leader", "--to", "d")
    eventually(lambda: town.admin.get("/nodes/d")["role"] == "leader", what="another leader")
    nobody = town.run("cluster", "transfer-leader", "--to", "b")
    assert nobody.returncode == 7 and "does not vote" in nobody.stderr
    # The leader can lose its seat, too.
    town.done("node", "demote", "d", "--yes")
    town.wait_for_voters("a", "b", "c")


@pytest.mark.timeout(180)
def test_two_nodes_are_one_voter_and_one_learner_and_the_status_says_what_that_means(town):
    grown(town, "a", "b").wait_for_voters("a")
    status = town.run("cluster", "status")
    assert status.returncode == 0 and "NOTE no node may fail" in status.stderr
    last = town.run("node", "remove", "a", "--dry-run")
    assert last.returncode == 7, last.stdout


@pytest.mark.timeout(240)
def test_all_nodes_are_restarted_one_after_the_other_and_the_first_doubt_stops_it(own_cluster, tmp_path):
    starts = lambda: {node["name"]: node["starts"] for node in own_cluster.admin.items("/nodes")}  # noqa: E731
    before = starts()
    hook = f"touch {tmp_path}/$QUORATE_NODE; while [ -e {tmp_path}/$QUORATE_NODE ]; do sleep 0.1; done"
    ended = threading.Event()

    def restart():
        while not ended.is_set():
            for node in own_cluster.nodes:
                asked = tmp_path / f"node-{node.id}"
                if asked.exists():
                    node.terminate()
                    node.start_again()
                    asked.unlink()
            ended.wait(0.1)

    restarter = threading.Thread(target=restart)
    restarter.start()
    try:
        said = quorate(own_cluster, "cluster", "rolling-restart", "--hook", hook, "--yes")
    finally:
        ended.set()
        restarter.join()
    assert said.returncode == 0, said.stderr
    assert starts() == {name: count + 1 for name, count in before.items()}
    failed = quorate(own_cluster, "cluster", "rolling-restart", "--hook", "exit 3", "--from", "node-2", "--yes")
    assert failed.returncode == 7 and "stopped at node-2: the hook ended with exit status: 3" in failed.stderr, failed.stderr
    assert shown(own_cluster, "node", "show", "node-2")["standing"]["state"] == "drained"
    done(own_cluster, "node", "undrain", "node-2", "--yes")
