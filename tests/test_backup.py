"""Snapshot files: saved while the cluster works, looked into, damaged, and a new cluster from one."""

import json
import stat

import pytest

from support.command import run
from support.node_file import NodeFile
from support.steady import Steady
from support.trio import ask, spend_all
from support.wait import eventually

LIMIT = 400


def inspected(file):
    ended = run("snapshot", "inspect", file, "-o", "json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def restore(file, node, name="new"):
    return run("snapshot", "restore", file, "--data-dir", node.data, "--name", name, "--peer-address", node.peer)


def holding(trio, key):
    """What the nodes hold of the key's budget, once each has served a request and has reported it."""
    served = [ask(file, key) for file in trio.files]
    assert served == [200] * 3
    admin = trio.admin_of(trio.files[0])
    budget = admin.budget_of(key)

    def held():
        explained = admin.explain(budget)
        return explained["used"] == 3 and explained["granted"] > 3 and explained

    return budget, eventually(held, what="grants with something left")


@pytest.mark.timeout(180)
def test_a_file_is_saved_under_load_from_any_node_and_says_what_is_in_it(trio, tmp_path):
    key = trio.admin_of(trio.files[0]).key()
    with Steady([f"http://{file.client}" for file in trio.files], key, "chat") as steady:
        for number, file in enumerate(trio.files):
            told = trio.quorate("snapshot", "save", tmp_path / f"{number}.snapshot", at=file)
            assert told.returncode == 0 and "is a secret" in told.stderr, told.stderr
    assert steady.failures == [] and all(steady.served.values())
    for number, file in enumerate(trio.files):
        path = tmp_path / f"{number}.snapshot"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        contents = inspected(path)
        status = trio.admin_of(file).status()
        assert (contents["cluster"], contents["lineage"], contents["nodes"]) == (status["cluster"], 1, 3)
        assert (contents["keys"], contents["routes"], contents["size"]) == (2, 1, path.stat().st_size)
        assert contents["index"] <= status["applied"] and len(contents["history"]) == 64
    indices = [inspected(tmp_path / f"{number}.snapshot")["index"] for number in range(3)]
    assert indices == sorted(indices), "each holds what was acknowledged before"
    assert sorted(item.name for item in tmp_path.glob("*.snapshot*")) == [f"{number}.snapshot" for number in range(3)]


@pytest.mark.timeout(120)
def test_a_damaged_file_is_refused_whatever_is_damaged(trio, tmp_path):
    good = tmp_path / "good.snapshot"
    trio.done("snapshot", "save", good)
    content = good.read_bytes()
    bad = tmp_path / "bad.snapshot"
    parts = {"magic": 3, "format": 17, "head": 40, "body": len(content) // 2, "sum": len(content) - 5}
    damaged = {name: content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for name, at in parts.items()}
    cut = {"half": content[: len(content) // 2], "nothing": b"", "without its sum": content[:-32], "more": content + b"x"}
    for name, left in {**damaged, **cut}.items():
        bad.write_bytes(left)
        for command in (("inspect", bad), ("restore", bad, "--data-dir", tmp_path / "d", "--name", "n", "--peer-address", "h:1")):
            ended = run("snapshot", *command)
            assert ended.returncode == 72 and str(bad) in ended.stderr, (name, ended.stderr)
        assert not (tmp_path / "d").exists()
    assert run("snapshot", "inspect", tmp_path / "none").returncode == 1
    assert inspected(good)["size"] == len(content)


@pytest.mark.timeout(240)
def test_a_new_cluster_from_a_file_serves_the_same_keys_and_overspends_nothing_over_both_lives(trio, tmp_path):
    admin = trio.admin_of(trio.files[0])
    key = admin.key(budgets=[{"unit": "requests", "limit": LIMIT}])
    budget, explained = holding(trio, key)
    granted = {held["node"]: held["outstanding"] for held in explained["holdings"]}
    assert explained["granted"] > 3
    saved = tmp_path / "all.snapshot"
    trio.done("snapshot", "save", saved)
    # After the file was written, and of what was granted before: it is spent in the new cluster, too.
    for node, file in enumerate(trio.files, 1):
        if granted.get(node):
            assert ask(file, key) == 200
    revision = max(item["revision"] for item in admin.items("/keys"))
    before = trio.provider.bill()["entries"]
    trio.kill(*trio.files)

    fresh = NodeFile(tmp_path / "fresh")
    restored = restore(saved, fresh)
    assert restored.returncode == 0 and "counts as spent" in restored.stderr and "not known" in restored.stderr
    again = restore(saved, fresh)
    assert again.returncode == 7 and "is not empty" in again.stderr
    trio.start(fresh)
    new = trio.admin_of(fresh)
    status = new.status()
    assert status["cluster"] != inspected(saved)["cluster"] and status["node"] > 3
    left = new.explain(budget)
    assert left["in_doubt"] == explained["granted"] and left["free"] == explained["free"]
    assert min(item["revision"] for item in [new.key()]) > revision + 100_000
    served = spend_all(fresh, key)
    assert served == explained["free"]
    assert len(trio.provider.bill()["entries"]) == len(before) + served <= LIMIT

    joiner = NodeFile(tmp_path / "joiner").join_by(new.join_token())
    trio.start(joiner)
    votes = lambda: [member["node"] for member in new.status()["members"]] == [status["node"], status["node"] + 1]  # noqa: E731
    eventually(votes, 30, "a second member")
    # The doubt ends as any other does.
    trio.done("budget", "resolve", budget["id"], "--all-as-spent", "-m", "the old cluster is gone", at=joiner)
    assert (new.explain(budget)["in_doubt"], ask(joiner, key).split()[0]) == (0, "429")


@pytest.mark.timeout(120)
def test_without_a_leader_a_file_holds_what_the_node_has(trio, tmp_path):
    last = trio.files[0]
    trio.kill(*trio.files[1:])
    refused = trio.quorate("snapshot", "save", tmp_path / "a.snapshot", at=last)
    assert refused.returncode == 11, refused.stderr
    assert list(tmp_path.glob("*.snapshot*")) == []
    trio.done("snapshot", "save", tmp_path / "a.snapshot", "--stale", at=last)
    assert inspected(tmp_path / "a.snapshot")["nodes"] == 3


@pytest.mark.timeout(120)
def test_nobody_without_an_admin_key_gets_a_file(cluster, tmp_path):
    key = cluster.admin.key()
    servers = ",".join(node.admin_url for node in cluster.nodes)
    for token in ("", key["secret"], "qk_nobody"):
        ended = run("snapshot", "save", tmp_path / "a", QUORATE_SERVER=servers, QUORATE_TOKEN=token)
        assert ended.returncode == 4, ended.stderr
    assert list(tmp_path.iterdir()) == []
