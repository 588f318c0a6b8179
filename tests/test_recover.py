"""A cluster that has lost its quorum for good goes on from one copy: with the losses that were told, and nothing overspent."""

import json
import os
import pty
import subprocess
import threading

import httpx
import pytest

from support.admin import Refused
from support.command import run
from support.node_file import NodeFile
from support.processes import binary, free_ports
from support.trio import ask, spend_all
from support.wait import eventually

LIMIT = 400


def plan(out, *files):
    """Makes a plan and reads it."""
    dirs = [word for file in files for word in ("--data-dir", file.data)]
    made = run("recover", "plan", *dirs, "--out", out, "--yes")
    assert made.returncode == 0, made.stderr
    return made.stdout, json.loads(out.read_text())


def recover(trio, keeper):
    """Plans and recovers with one copy, and starts it."""
    out = trio.folder / "plan.json"
    told, planned = plan(out, keeper)
    applied = run("recover", "apply", out, "--data-dir", keeper.data)
    assert applied.returncode == 0 and "lineage 2" in applied.stdout, applied.stderr
    return told, planned


def holding(trio, key):
    """What the budget of a key looks like, once each node has served a request of it, and holds more."""
    assert [ask(file, key) for file in trio.files] == [200] * 3
    admin = trio.admin_of(trio.files[0])
    budget = admin.budget_of(key)

    def held():
        explained = admin.explain(budget)
        return explained["used"] == 3 and explained["granted"] > 3 and explained

    return budget, eventually(held, what="grants with something left")


def bill(trio):
    trio.provider.wait_until_idle()
    return len(trio.provider.bill()["entries"])


@pytest.mark.timeout(300)
def test_two_of_three_are_lost_with_their_disks_and_the_third_goes_on(trio, tmp_path):
    admin = trio.admin_of(trio.files[0])
    key = admin.key(budgets=[{"unit": "requests", "limit": LIMIT}])
    budget, explained = holding(trio, key)
    keeper = trio.leader()
    node = trio.admin_of(keeper).status()["node"]
    lost = [file for file in trio.files if file is not keeper]
    theirs = sum(held["outstanding"] for held in explained["holdings"] if held["node"] != node)
    revision = trio.admin_of(keeper).key()["revision"]
    trio.lose(*lost)
    in_use = run("recover", "plan", "--data-dir", keeper.data, "--out", tmp_path / "p", "--yes")
    assert in_use.returncode == 7 and "in use" in in_use.stderr
    trio.kill(keeper)

    told, planned = recover(trio, keeper)
    ids = sorted({1, 2, 3} - {node})
    assert f"nodes {ids[0]}, {ids[1]} are a majority by themselves" in told and "COUNTED AS SPENT" in told
    assert sum(charged["amount"] for charged in planned["charged"]) == theirs
    assert [left["node"] for left in planned["left_behind"]] == ids
    verified = run("recover", "verify", "--data-dir", keeper.data, "-o", "json")
    assert json.loads(verified.stdout)["fenced"] == ids and "quorate serve" in verified.stderr

    trio.start(keeper)
    new = trio.admin_of(keeper)
    assert (new.status()["cluster"], new.status()["leader"]) == (planned["cluster"], node)
    assert new.key()["revision"] > revision + 100_000
    # Its own grants it settles by its journal; what the others held is in doubt.
    eventually(lambda: new.explain(budget)["in_doubt"] == theirs, what="what is in doubt")
    spend_all(keeper, key)
    # What it had told its journal and spent no more, when it was killed, is charged to it.
    assert bill(trio) == LIMIT - theirs - new.explain(budget)["crash_charged"]
    trio.done("budget", "resolve", budget["id"], "--all-as-reported", "-m", "they are gone", at=keeper)

    # Others join with fresh directories, and the cluster is what it was.
    for number, file in enumerate(lost):
        fresh = NodeFile(tmp_path / f"fresh-{number}").join_by(new.join_token())
        trio.start(fresh)
        assert ask(fresh, key) == 200
    votes = lambda: sum(member["is_voter"] for member in new.status()["members"]) == 3  # noqa: E731
    eventually(votes, 60, "three voters")
    spend_all(fresh, key)
    assert bill(trio) <= LIMIT


@pytest.mark.timeout(300)
def test_the_lost_come_back_together_and_are_stopped_and_nothing_is_overspent(trio):
    admin = trio.admin_of(trio.files[0])
    key = admin.key(budgets=[{"unit": "requests", "limit": LIMIT}])
    holding(trio, key)
    keeper = trio.leader()
    lost = [file for file in trio.files if file is not keeper]
    trio.kill(*lost, keeper)
    recover(trio, keeper)
    trio.start(keeper)

    over = threading.Event()

    def try_all(file):
        while not over.is_set():
            ask(file, key)

    askers = [threading.Thread(target=try_all, args=(file,), daemon=True) for file in trio.files]
    for asker in askers:
        asker.start()
    for file in lost:
        trio.running[file] = file.start()
    ends = [trio.end_of(file) for file in lost]
    for code, said in ends:
        assert code == 73 and "the cluster was recovered without this node" in said, said
    over.set()
    for asker in askers:
        asker.join(30)
    spend_all(keeper, key)
    assert bill(trio) <= LIMIT


@pytest.mark.timeout(300)
def test_the_lost_are_found_also_when_they_know_nobody_but_each_other(trio):
    """The one that went on has another address now. It looks for them at theirs."""
    keeper = trio.leader()
    lost = [file for file in trio.files if file is not keeper]
    trio.kill(*trio.files)
    recover(trio, keeper)
    keeper.peer = f"127.0.0.1:{free_ports(1)[0]}"
    trio.start(keeper)
    for file in lost:
        trio.running[file] = file.start()
    for file in lost:
        code, said = trio.end_of(file)
        assert code == 73 and "the cluster was recovered without this node" in said, said
    trio.admin_of(keeper).key()


@pytest.mark.timeout(300)
def test_what_may_never_have_been_acknowledged_is_kept_and_listed(trio, tmp_path):
    keeper = trio.leader()
    admin = trio.admin_of(keeper)
    trio.kill(*(file for file in trio.files if file is not keeper))
    for number in range(3):
        # Nobody acknowledges it: the leader alone has it.
        with pytest.raises((Refused, httpx.HTTPError)):
            admin.call("POST", "/users", {"name": f"late-{number}"})
    trio.kill(keeper)
    told, planned = plan(tmp_path / "plan.json", keeper)
    asks = [words for entry in planned["uncertain"] for words in entry["asks"]]
    assert any("put user late-0" in words for words in asks), planned["uncertain"]
    assert "UNCERTAIN: kept" in told and "put user late-0" in told
    assert planned["proven"]["index"] < planned["keeper"]["last"]["index"]
    recover(trio, keeper)
    trio.start(keeper)
    assert "late-0" in [user["name"] for user in trio.admin_of(keeper).items("/users")]


@pytest.mark.timeout(300)
def test_a_plan_is_for_one_directory_as_it_was(trio, tmp_path):
    one, two, _ = trio.files
    trio.kill(*trio.files)
    out = tmp_path / "plan.json"
    majority = run("recover", "plan", "--data-dir", one.data, "--data-dir", two.data, "--out", out, "--yes")
    assert majority.returncode == 7 and "need no recovery" in majority.stderr
    assert not out.exists()
    before = {path: path.read_bytes() for path in one.data.rglob("*") if path.is_file()}
    plan(out, one)
    assert {path: path.read_bytes() for path in one.data.rglob("*") if path.is_file()} == before
    other = run("recover", "apply", out, "--data-dir", two.data)
    assert other.returncode == 8 and "the plan for node 1" in other.stderr
    nowhere = run("recover", "apply", out, "--data-dir", tmp_path)
    assert nowhere.returncode == 3
    # Without the others it cannot serve; but it was started, and may have voted.
    trio.start(one, "/livez")
    eventually(lambda: trio.admin_of(one).status()["node"] == 1, what="a node that has counted its start")
    in_use = run("recover", "apply", out, "--data-dir", one.data)
    assert in_use.returncode == 7 and "in use" in in_use.stderr
    trio.kill(one)
    stale = run("recover", "apply", out, "--data-dir", one.data)
    assert stale.returncode == 8 and "has changed since" in stale.stderr
    plan(out, one)
    first, second = (run("recover", "apply", out, "--data-dir", one.data) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0) and "nothing was changed" in second.stdout
    trio.start(one)
    trio.kill(one)
    third = run("recover", "apply", out, "--data-dir", one.data)
    assert third.returncode == 0 and "nothing was changed" in third.stdout
    trio.start(one)
    assert trio.admin_of(one).key()


@pytest.mark.timeout(120)
def test_whoever_makes_a_plan_types_the_cluster_whose_losses_they_accept(trio, tmp_path):
    one = trio.files[0]
    cluster = trio.admin_of(one).status()["cluster"]
    trio.kill(*trio.files)
    command = [binary("quorate", "QUORATE_BIN"), "recover", "plan", "--data-dir", str(one.data), "--out"]

    def typed(text, out):
        ours, theirs = pty.openpty()
        os.write(ours, f"{text}\n".encode())
        ended = subprocess.run([*command, str(out)], stdin=theirs, capture_output=True, text=True, timeout=60)
        os.close(ours), os.close(theirs)
        return ended.returncode, out.exists()

    assert typed("yes", tmp_path / "a.json") == (2, False)
    assert typed(cluster, tmp_path / "b.json") == (0, True)
    nobody = run("recover", "plan", "--data-dir", one.data, "--out", tmp_path / "c.json")
    assert nobody.returncode == 2 and not (tmp_path / "c.json").exists()
