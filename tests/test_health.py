"""What probes and people are told of a node's health, from its first moment to its last."""

import os
import signal

import httpx
import pytest

from support.admin import Admin
from support.cluster import Cluster
from support.node_file import NodeFile
from support.processes import kill_and_wait
from support.wait import eventually

PROBES = ("/livez", "/startupz", "/readyz", "/readyz/admin", "/clusterz")
SECRETS = ("qr_", "token", "secret", "127.0.0.1")


def ask(url, probe, query=""):
    return httpx.get(f"{url}{probe}{query}", timeout=5)


def codes(url):
    """The status of each probe."""
    return {probe: ask(url, probe).status_code for probe in PROBES}


def answers(url, probe, status):
    return lambda: ask(url, probe).status_code == status


def test_a_healthy_node_says_so_in_every_form(cluster):
    node = cluster.nodes[0]
    eventually(answers(node.admin_url, "/clusterz", 200), what="a cluster that tolerates a failure")
    assert codes(node.admin_url) == dict.fromkeys(PROBES, 200)
    line = ask(node.admin_url, "/clusterz").text
    assert line == f"healthy voters=3 heard=3 tolerance=1 leader={cluster.leader().id}\n"
    for probe in PROBES:
        verbose = ask(node.admin_url, probe, "?verbose")
        checks = [text for text in verbose.text.splitlines() if text.startswith("[")]
        # How full the disk is that the tests run on is not theirs to say.
        assert checks and all(text.startswith("[+] ") for text in checks if " disk " not in text), verbose.text
        told = ask(node.admin_url, probe, "?verbose&format=json").json()
        assert told["status"] in ("ok", "degraded") and len(told["checks"]) == len(checks), told
        assert not [secret for secret in SECRETS if secret in verbose.text], verbose.text
        head = httpx.head(f"{node.admin_url}{probe}")
        assert (head.status_code, head.content) == (200, b"")
    assert ask(node.admin_url, "/clusterz", "?format=json").json()["cluster"]["tolerance"] == 1


@pytest.mark.parametrize("query", ["?verbos", "?verbose=no", "?format=xml", "?exclude=lease"])
def test_a_parameter_that_no_probe_knows_is_refused(cluster, query):
    for probe in PROBES:
        assert ask(cluster.nodes[0].admin_url, probe, query).status_code == 400


def test_a_node_without_a_cluster_lives_and_has_not_started(tmp_path):
    file = NodeFile(tmp_path / "alone")
    process = file.start()
    try:
        file.wait_for(process, "/livez")
        url = f"http://{file.admin}"
        assert codes(url) == {**dict.fromkeys(PROBES, 503), "/livez": 200}
        assert ask(url, "/startupz").text == "[-] member this node belongs to no cluster yet\n"
    finally:
        process.stop()


def test_one_node_alone_is_ready_and_its_cluster_tolerates_nothing(tmp_path):
    file = NodeFile(tmp_path / "alone", found=True)
    process = file.start()
    try:
        file.wait_for(process, "/readyz")
        url = f"http://{file.admin}"
        assert codes(url) == {**dict.fromkeys(PROBES, 200), "/clusterz": 503}
        assert ask(url, "/clusterz").text.startswith("no_tolerance voters=1 heard=1 tolerance=0 leader=1\n")
    finally:
        process.stop()


def test_without_a_quorum_a_node_is_degraded_for_clients_of_keys_that_may_do_without_and_unready_for_operators(tmp_path):
    cluster = Cluster(tmp_path)
    try:
        cluster.admin.key(without_quorum="grant_only")
        survivor, *others = cluster.nodes
        for node in others:
            node.kill()
        eventually(answers(survivor.admin_url, "/readyz/admin", 503), what="a node that knows of no majority")
        assert codes(survivor.admin_url) == {"/livez": 200, "/startupz": 200, "/readyz": 200, "/readyz/admin": 503, "/clusterz": 503}
        assert "[!] lease ended " in ask(survivor.admin_url, "/readyz", "?verbose").text
        assert ask(survivor.admin_url, "/clusterz").text.startswith("no_quorum voters=3 heard=")

        # Started again without the others, it does not know how far the log is; with one of them it does.
        survivor.kill()
        survivor.start_again()
        eventually(lambda: answers_at_all(survivor.admin_url), what="a node that answers")
        assert codes(survivor.admin_url) == {**dict.fromkeys(PROBES, 503), "/livez": 200}
        assert "[-] caught_up applied " in ask(survivor.admin_url, "/startupz").text
        others[0].start_again()
        eventually(answers(survivor.admin_url, "/startupz", 200), 30, "a node that has caught up")
        # The lease of a key that may do without is confirmed again, and one more failure would end the quorum.
        eventually(answers(survivor.admin_url, "/readyz/admin", 200), what="a leader that a majority follows")
        eventually(lambda: ask(survivor.admin_url, "/clusterz").text.startswith("no_tolerance voters=3 heard=2 tolerance=0"))
        assert answers(survivor.admin_url, "/clusterz", 503)()
    finally:
        cluster.stop()


def answers_at_all(url):
    try:
        return ask(url, "/livez").status_code == 200
    except httpx.HTTPError:
        return False


def test_a_node_that_drains_is_unready_and_still_takes_changes(tmp_path):
    file = NodeFile(tmp_path / "alone", found=True)
    process = file.start()
    try:
        file.wait_for(process, "/readyz")
        url = f"http://{file.admin}"
        os.kill(process.pid, signal.SIGTERM)
        eventually(answers(url, "/readyz", 503), 1.4, "an unready node")
        assert ask(url, "/readyz").text == "[-] draining this node is leaving\n"
        assert codes(url) == {"/livez": 200, "/startupz": 200, "/readyz": 503, "/readyz/admin": 200, "/clusterz": 503}
        token = file.data.joinpath("admin-token").read_text().strip()
        assert Admin(url, token).key()["id"]
        assert process.popen.wait(30) == 0
    finally:
        if process.popen.poll() is None:
            kill_and_wait(process.pid)
